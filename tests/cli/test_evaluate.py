"""`evaluate`: from pictures and a model to a table, JSON and a contact sheet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from styletransfer import Stylizer
from styletransfer.media import read_picture
from styletransfer.model.vgg import DEEP_LAYERS, STYLE_LAYERS, VGG16, Convolution, needed_convolutions
from styletransfer.options import StylizeOptions

from .conftest import Run
from .pictures import write_content

SIZE = (48, 40)


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write a VGG-19 of random weights."""
    path = tmp_path_factory.mktemp("networks") / "vgg.safetensors"
    return write_network(path, needed_convolutions(STYLE_LAYERS))


@pytest.fixture(scope="session")
def deep_network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write a VGG-16 of random weights."""
    path = tmp_path_factory.mktemp("networks") / "vgg16.safetensors"
    return write_network(path, needed_convolutions(DEEP_LAYERS, VGG16))


def write_network(path: Path, convolutions: list[Convolution]) -> str:
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for each in convolutions:
        key, shape = f"features.{each.torchvision_index}", (each.out_channels, each.in_channels, 3, 3)
        tensors[f"{key}.weight"] = torch.randn(shape, generator=generator) / shape[1] ** 0.5 / 3
        tensors[f"{key}.bias"] = torch.zeros(each.out_channels)
    save_file(tensors, path)
    return str(path)


@pytest.fixture(autouse=True)
def pairs() -> Path:
    """Write two pairs and, of the first, what another method made of it."""
    for seed, name in enumerate(("cat.content", "cat.style", "sea.content", "sea.style", "cat.peer")):
        write_content(Path("pairs", f"{name}.png"), SIZE, seed=seed)
    return Path("pairs")


def read_table(text: str) -> Iterator[dict[str, str]]:
    """Read a Markdown table."""
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines()]
    for row in rows[2:]:
        yield dict(zip(rows[0], row, strict=True))


def read_json(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_table_of_content_and_model(run: Run, model: str, network: str) -> None:
    result = run("evaluate", "pairs", "-m", model, "--vgg", network)
    assert result.exit_code == 0
    itself, ours = read_table(result.stdout)
    assert (itself["method"], ours["method"]) == ("content itself", Path(model).stem)
    assert (itself["content_in"], itself["ssim"], itself["pan_rmse"]) == ("0.000", "1.000", "-")
    assert 0 < float(ours["reconstruction"]) < 100
    assert float(ours["pan_rmse"]) > 0


def test_every_style_score_has_a_column(run: Run, model: str, network: str, deep_network: str) -> None:
    plain, deep = (
        list(read_table(run("evaluate", "pairs", "-m", model, "--vgg", network, *more).stdout))
        for more in ([], ["--vgg16", deep_network])
    )
    assert {"style_patch", "style_cover"} <= set(plain[1])
    assert "style_deep" not in plain[1]
    assert float(deep[1]["style_deep"]) > 0
    assert {name: deep[1][name] for name in plain[1]} == plain[1]


def test_a_vgg19_is_no_vgg16(run: Run, model: str, network: str) -> None:
    result = run("evaluate", "pairs", "-m", model, "--vgg", network, "--vgg16", network)
    assert result.exit_code == 3
    assert "VGG-16" in result.stderr or "relu5_1" in result.stderr


def test_given_outputs_alone_and_beside_a_model(run: Run, model: str, network: str) -> None:
    alone = run("evaluate", "pairs", "--outputs", "pairs", "--vgg", network)
    assert [row["method"] for row in read_table(alone.stdout)] == ["content itself", "peer (1 of 2)"]
    assert alone.stderr == ""
    both = run("evaluate", "pairs", "--outputs", "pairs", "--vgg", network, "-m", model)
    assert len(list(read_table(both.stdout))) == 3


def test_json_has_every_result_and_then_the_means(run: Run, model: str, network: str) -> None:
    words = ["evaluate", "pairs", "--vgg", network, "-m", model, "-a", "0", "-a", "0.5", "--json"]
    *results, itself, reconstructed, half = read_json(run(*words).stdout)
    methods = ("content itself", "small at alpha 0", "small at alpha 0.5")
    wanted = [(pair, method) for pair in ("cat", "sea") for method in methods]
    assert [(each["pair"], each["method"]) for each in results] == wanted
    assert results[0]["output"] == results[0]["content"] == str(Path("pairs/cat.content.png"))
    assert results[1]["output"] is None
    assert (itself["method"], itself["mean_of"]) == ("content itself", 2)
    mean = (results[1]["style_gram"] + results[4]["style_gram"]) / 2
    assert reconstructed["style_gram"] == pytest.approx(mean)
    assert half["style_gram"] != pytest.approx(mean)
    assert half["reconstruction"] == reconstructed["reconstruction"]


def test_contents_and_styles_are_combined(run: Run, model: str, network: str) -> None:
    words = ["pairs/*.content.png", "pairs/cat.style.png", "pairs/sea.style.png"]
    results = read_json(run("evaluate", *words, "-m", model, "--vgg", network, "--json").stdout)
    assert len({each["pair"] for each in results if "pair" in each}) == 4


def test_contact_sheet(run: Run, model: str, network: str) -> None:
    words = ["evaluate", "pairs", "--outputs", "pairs", "-m", model, "--vgg", network]
    result = run(*words, "--contact-sheet", "sheet.png")
    assert result.exit_code == 0
    sheet = read_picture("sheet.png")
    assert sheet.width > 4 * SIZE[0]  # content, style, the peer's and ours
    assert sheet.height > 2 * SIZE[1]
    again = run(*words, "--contact-sheet", "sheet.png")
    assert (again.exit_code, again.stdout) == (1, "")
    assert "sheet.png exists already" in again.stderr
    assert run(*words, "--contact-sheet", "sheet.png", "-f").exit_code == 0


def test_pictures_that_cannot_be_read_are_named_at_the_end(run: Run, network: str) -> None:
    Path("pairs/dog.content.cr3").touch()
    result = run("evaluate", "pairs", "--outputs", "pairs", "--vgg", network)
    assert result.exit_code == 0
    assert result.stderr == "1 CR3 file cannot be read: export it as TIFF or JPEG\n"


def test_a_damaged_picture_spoils_only_its_pair(run: Run, network: str) -> None:
    Path("pairs/cat.content.png").write_bytes(b"nothing")
    result = run("evaluate", "pairs", "--outputs", "pairs", "--vgg", network, "--json")
    assert result.exit_code == 1
    failed, also_failed, *rest = read_json(result.stdout)
    assert "cat.content.png" in failed["error"]
    assert "error" in also_failed
    assert [each["method"] for each in rest] == ["content itself", "content itself"]
    assert rest[1]["mean_of"] == 1


def test_all_scores_are_of_strokes_of_one_size(
    run: Run, model: str, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of the pan, whose frames are some pixels smaller than the content."""
    write_content(Path("cat.png"), (1024, 256))
    write_content(Path("waves.png"), SIZE, seed=1)
    scales = []

    def stylize(self: Stylizer, content: Tensor, style: object, options: StylizeOptions) -> Tensor:
        scales.append(options.stroke_scale)
        return content

    monkeypatch.setattr(Stylizer, "stylize", stylize)
    words = ("evaluate", "cat.png", "waves.png", "-m", model, "--vgg", network)
    assert run(*words).exit_code == 0
    assert set(scales) == {2}
    assert run(*words, "--stroke-scale", "3").exit_code == 0
    assert set(scales) == {2, 3}


def test_size_and_transform_reach_the_model(run: Run, model: str, network: str) -> None:
    words = ["evaluate", "pairs", "-m", model, "--vgg", network]
    tables = {run(*words, *more).stdout for more in ([], ["--size", "96"], ["--transform", "adain"])}
    assert len(tables) == 3


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        ([], 2, "Missing argument"),
        (["absent"], 2, "absent: no such folder"),
        (["pairs", "--outputs", "art"], 2, "art: no outputs of these pairs"),
        (["pairs", "-a", "1.5"], 2, "alpha is 1.5"),
        (["pairs", "-a", "nan"], 2, "alpha is nan"),
        (["pairs", "-", "pairs/cat.style.png"], 2, "cannot read standard input"),
        (["pairs", "--contact-sheet", "sheet.txt"], 2, "sheet.txt"),
        (["pairs", "-m", "absent.safetensors"], 3, "absent.safetensors"),
        (["pairs", "--vgg", "pairs/cat.peer.png"], 3, "cannot be read as safetensors"),
    ],
)
def test_what_is_wrong_is_one_line(run: Run, network: str, words: list[str], code: int, problem: str) -> None:
    write_content(Path("art/unrelated.ours.png"), SIZE)
    result = run("evaluate", "--vgg", network, *words)
    assert result.exit_code == code
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert problem in line
    assert result.stdout == ""
