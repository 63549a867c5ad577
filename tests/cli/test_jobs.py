"""Contents paired with styles, and runs that read the folder they write."""

from __future__ import annotations

from pathlib import Path

import pytest

from styletransfer.cli.job_planning import StylizeJob, drop_own_results, name_outputs, pair_inputs
from styletransfer.cli.paths import InputFile
from styletransfer.errors import OptionError


def sources(*names: str) -> list[InputFile]:
    return [InputFile(Path(name)) for name in names]


def test_all_pairs_content_by_content() -> None:
    jobs = pair_inputs(sources("a.png", "b.png"), sources("x.png", "y.png"), None)
    assert [job.inputs for job in jobs] == [
        ["a.png", "x.png"],
        ["a.png", "y.png"],
        ["b.png", "x.png"],
        ["b.png", "y.png"],
    ]


def test_weights_blend_all_styles() -> None:
    jobs = pair_inputs(sources("a.png", "b.png"), sources("x.png", "y.png"), (2, 1))
    assert [job.inputs for job in jobs] == [["a.png", "x.png", "y.png"], ["b.png", "x.png", "y.png"]]


def test_one_weight_per_style() -> None:
    with pytest.raises(OptionError, match="2 style weights for 1 styles"):
        pair_inputs(sources("a.png"), sources("x.png"), (2, 1))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("in/cat.JPG", "cat waves+ink 0.5 jpg"),
        ("cat.gif", "cat waves+ink 0.5 png"),
        (None, "stdin waves+ink 0.5 png"),
    ],
)
def test_fields(content: str | None, expected: str) -> None:
    source = InputFile(None if content is None else Path(content))
    job = StylizeJob(source, tuple(sources("art/waves.png", "ink.safetensors")))
    assert job.name_output("{content} {style} {alpha} {ext}", 0.5, {".jpg", ".png"}) == Path(expected)


def test_results_of_the_same_run_are_no_contents() -> None:
    names = ("cat.png", "cat_waves.png", "dog.png")
    jobs = [StylizeJob(content, (), Path(f"{content.stem}_waves.png")) for content in sources(*names)]
    assert [job.inputs for job in drop_own_results(jobs)] == [["cat.png"], ["dog.png"]]


def test_a_content_that_would_overwrite_itself_stays_to_be_refused() -> None:
    jobs = [StylizeJob(content, (), content.path) for content in sources("cat.png", "dog.png")]
    assert drop_own_results(jobs) == jobs


@pytest.mark.parametrize(
    ("contents", "styles", "expected"),
    [
        (["1.jpg", "1.png", "2.png"], ["w.png"], ["1_jpg_w.png", "1_png_w.png", "2_w.png"]),
        (["1.jpg"], ["w.png", "w.jpg"], ["1_w_png.png", "1_w_jpg.png"]),
        (["a/1.jpg", "b/1.jpg"], ["w.png"], ["a_1_w.png", "b_1_w.png"]),
        (["1.jpg"], ["a/w.png", "b/w.png"], ["1_a_w.png", "1_b_w.png"]),
        (["a/1.jpg", "a/1.png", "b/1.jpg"], ["w.png"], ["a_1_jpg_w.png", "a_1_png_w.png", "b_1_jpg_w.png"]),
        (["x/a/1.jpg", "y/a/1.jpg"], ["w.png"], ["1_w.png", "1_w.png"]),  # to be refused
        (["1.jpg", "1.png", "1_w.png"], ["w.png"], ["1_w.png", "1_w.png", "1_w_w.png"]),  # likewise
    ],
)
def test_clashing_names_get_their_extensions_or_folders(
    contents: list[str], styles: list[str], expected: list[str]
) -> None:
    jobs = pair_inputs(sources(*contents), sources(*styles), None)
    named = name_outputs(jobs, "{content}_{style}.png", 1, {".png"})
    assert [str(job.output) for job in named] == expected
