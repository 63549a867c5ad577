"""Where values come from: flag, environment, TOML file, default."""

from __future__ import annotations

from pathlib import Path

import pytest

from styletransfer.cli.configured_command import find_configuration, read_configuration
from styletransfer.cli.paths import find_weights_folder
from styletransfer.errors import OptionError, WeightsError

from .conftest import Run

OPTIONS = {
    "stylize": {"alpha": "alpha", "style-size": "style_size", "json": "as_json", "device": "device"},
    "train": {"steps": "steps", "device": "device"},
}


def read(text: str, command: str = "stylize") -> dict[str, object]:
    path = Path("settings.toml")
    path.write_text(text, encoding="utf-8")
    return read_configuration(path, command, OPTIONS)


def test_tables_are_commands_and_the_top_is_for_all() -> None:
    text = 'device = "cpu"\nsteps = 3\n[stylize]\nstyle-size = 9\njson = true\n[train]\ndevice = "mps"\n'
    assert read(text) == {"device": "cpu", "style_size": 9, "as_json": True}
    assert read(text, "train") == {"device": "mps", "steps": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alhpa = 1", r"settings\.toml: unknown key 'alhpa'; did you mean 'alpha'\?"),
        (
            "[stylize]\nstyle-siez = 1",
            r"unknown key of \[stylize\] 'style-siez'; did you mean 'style-size'\?",
        ),
        ("[stylise]\nalpha = 1", r"unknown table 'stylise'; did you mean 'stylize'\?"),
        ("alpha = \nsize = 1", r"settings\.toml: not a readable TOML .*line 1"),
    ],
)
def test_mistakes_name_the_file_and_the_right_key(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read(text)


def plan_alpha(run: Run, *words: str, **environment: str) -> str:
    """Return the alpha that a run would use."""
    result = run("stylize", "cat.png", "waves.png", "-n", "-o", "{alpha}.png", *words, **environment)
    assert result.exit_code == 0, result.stderr
    return result.stdout.split()[-1].removesuffix(".png")


@pytest.mark.usefixtures("content", "style")
def test_precedence(run: Run) -> None:
    assert plan_alpha(run) == "1"
    Path("mine.toml").write_text("[stylize]\nalpha = 0.25\n")
    assert plan_alpha(run, "--config", "mine.toml") == "0.25"
    assert plan_alpha(run, "--config", "mine.toml", STYLETRANSFER_ALPHA="0.5") == "0.5"
    assert plan_alpha(run, "--config", "mine.toml", "--alpha", "0.75", STYLETRANSFER_ALPHA="0.5") == "0.75"
    assert plan_alpha(run, STYLETRANSFER_CONFIG="mine.toml") == "0.25"


@pytest.mark.usefixtures("content", "style")
def test_the_users_own_file_is_found_and_replaced_by_another(run: Run) -> None:
    find_configuration().parent.mkdir(parents=True)
    find_configuration().write_text("alpha = 0.125\n")
    assert plan_alpha(run) == "0.125"
    Path("mine.toml").write_text("")
    assert plan_alpha(run, "--config", "mine.toml") == "1"


@pytest.mark.usefixtures("content", "style")
def test_lists_words_and_flags_in_toml(run: Run) -> None:
    Path("mine.toml").write_text(
        '[stylize]\nstyle-weights = [2, 1]\nsize = "full"\nmetadata = false\ndry-run = true\n'
    )
    result = run("stylize", "cat.png", "waves.png", "waves.png", "--config", "mine.toml")
    assert result.stdout == "cat.png + waves.png + waves.png -> cat_waves+waves.png\n"


@pytest.mark.parametrize("text", ["alpha = 7", "[stylize]\nalpha = 'much'", "[stylize]\nalpha = nan"])
def test_a_wrong_value_names_the_file_it_came_from(run: Run, text: str) -> None:
    Path("mine.toml").write_text(text)
    result = run("stylize", "cat.png", "waves.png", "--config", "mine.toml")
    assert result.exit_code == 2
    assert "--alpha" in result.stderr
    assert "(it comes from mine.toml)" in result.stderr


def test_a_wrong_value_names_the_variable_it_came_from(run: Run) -> None:
    result = run("stylize", "cat.png", "waves.png", STYLETRANSFER_ALPHA="nan")
    assert result.exit_code == 2
    assert "(it comes from STYLETRANSFER_ALPHA)" in result.stderr


def test_an_unknown_key_ends_the_program(run: Run) -> None:
    Path("mine.toml").write_text("[stylize]\nalpah = 1\n")
    result = run("stylize", "cat.png", "waves.png", "--config", "mine.toml")
    assert result.exit_code == 2
    assert result.stderr == "error: mine.toml: unknown key of [stylize] 'alpah'; did you mean 'alpha'?\n"


def test_weights_folder(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    assert find_weights_folder() is None
    monkeypatch.setenv("STYLETRANSFER_WEIGHTS", str(folder))
    assert find_weights_folder() == folder
    monkeypatch.setenv("STYLETRANSFER_WEIGHTS", "absent")
    with pytest.raises(WeightsError, match="STYLETRANSFER_WEIGHTS is absent, which is not a folder"):
        find_weights_folder()


def test_the_recipe_of_the_shipped_model_is_one(run: Run) -> None:
    recipe = Path(__file__).parents[2] / "weights" / "default.toml"
    Path("run").mkdir()
    Path("run", "checkpoint.safetensors").touch()
    result = run("train", "--config", str(recipe), "--content", ".", "--style", ".", "-o", "run")
    # Everything in the recipe was understood before the folder was looked at.
    assert (result.exit_code, "run: holds a run already" in result.stderr) == (1, True), result.stderr


@pytest.mark.usefixtures("content", "style")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("size = 64.5", "'64.5' is not a valid integer, and not 'full' (it comes from mine.toml)"),
        ("alpha = true", "'true' is not a valid float"),
        ("alpha = []", "'' is not a valid float"),
        ("alpha = 2020-01-01", "mine.toml: alpha is neither a text nor a number"),
        ("[stylize.alpha]\nvalue = 1", "mine.toml: alpha is neither a text nor a number"),
    ],
)
def test_values_of_a_wrong_type_are_usage_errors(run: Run, line: str, message: str) -> None:
    Path("mine.toml").write_text(f"[stylize]\n{line}\n")
    result = run("stylize", "cat.png", "waves.png", "-n", "--config", "mine.toml")
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.usefixtures("content", "style")
def test_one_value_of_an_option_that_takes_several_and_a_byte_order_mark(run: Run) -> None:
    Path("mine.toml").write_text('\ufeff[stylize]\nmask = "waves.png"\nalpha = 0.5\n', encoding="utf-8")
    assert plan_alpha(run, "--config", "mine.toml") == "0.5"
