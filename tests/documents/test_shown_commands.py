"""Every command that the documents show can be typed as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image, ImageChops, ImageStat

from examples.command_gallery import PAGE, read_commands
from styletransfer.cli import COMMANDS, program

from .shown_commands import OMITTED, ROOT, ShownCommand, list_commands

SHOWN = list_commands()
QUICK = {"models", "env", "completion"}


def find_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command of a command line, which may be in a group, and the words that follow its name."""
    command: click.Command | None = program
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        command = command.get_command(click.Context(command), name)
        assert command is not None, name
    assert command is not None
    return command, words


def is_placeholder(word: str) -> bool:
    return word == word.upper() and word.isalpha()


@pytest.mark.parametrize("shown", SHOWN, ids=str)
def test_options_exist(shown: ShownCommand) -> None:
    words = list(shown.words)
    if is_placeholder(words[0]):  # styletransfer COMMAND --help
        return
    command, rest = find_command(words)
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    known |= {"-h", "--help"}
    used = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    assert used <= known, used - known


@pytest.mark.parametrize("shown", [each for each in SHOWN if each.is_complete], ids=str)
def test_complete_commands_parse(shown: ShownCommand) -> None:
    if is_placeholder(shown.words[0]) or "--help" in shown.words:
        return
    command, rest = find_command(list(shown.words))
    with click.Context(program, info_name="styletransfer") as parent:
        try:
            command.make_context(command.name, rest, parent=parent)
        except click.BadParameter as error:
            # Files of the reader, such as PHOTOS, are not here.
            assert "does not exist" in error.message, error.message  # noqa: PT017


def can_be_planned(shown: ShownCommand) -> bool:
    files = [word for word in shown.words[1:] if "examples/" in word and not word.endswith("/")]
    return shown.words[0] == "stylize" and bool(files) and all((ROOT / word).exists() for word in files)


def test_commands_with_example_pictures_can_be_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    planned = [each for each in SHOWN if each.is_complete and can_be_planned(each)]
    assert len(planned) >= 10
    for shown in planned:
        done = CliRunner().invoke(program, [*shown.words, "--dry-run", "--if-exists", "overwrite"])
        assert (done.exit_code, done.stderr) == (0, ""), shown
        assert "->" in done.stdout


@pytest.mark.parametrize("shown", [each for each in SHOWN if each.words[0] in QUICK], ids=str)
def test_quick_commands_run(shown: ShownCommand) -> None:
    if any("|" in word or word.endswith(".safetensors") or word == OMITTED for word in shown.words):
        return  # a choice such as bash|zsh, or a file of the reader
    run = [sys.executable, "-m", "styletransfer", *shown.words]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == (2 if shown.words == ("models",) else 0), done.stderr


def test_every_command_is_shown_somewhere() -> None:
    assert set(COMMANDS) <= {each.words[0] for each in SHOWN}


@pytest.mark.slow
def test_a_picture_of_the_gallery_is_what_its_command_makes(tmp_path: Path) -> None:
    variables, commands = read_commands(PAGE.read_text(encoding="utf-8"))
    _, *words = commands[0]
    kept = ROOT / words[words.index("-o") + 1]
    words[words.index("-o") + 1] = str(made := tmp_path / "made.jpg")
    subprocess.run(
        [sys.executable, "-m", "styletransfer", *words], cwd=ROOT, env={**os.environ, **variables}, check=True
    )
    with Image.open(kept) as first, Image.open(made) as second:
        assert first.size == second.size
        assert max(ImageStat.Stat(ImageChops.difference(first, second)).mean) < 3


def test_every_picture_of_the_gallery_has_its_command() -> None:
    page = PAGE.read_text(encoding="utf-8")
    _, commands = read_commands(page)
    made = {words[words.index("-o") + 1] for words in commands}
    assert made == {f"docs/{name}" for name in re.findall(r"\]\((images/[^)]+)\)", page)}
