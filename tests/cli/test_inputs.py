"""What CONTENT and STYLE may be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from styletransfer.cli.paths import InputFile, describe_unreadable, expand_contents, expand_styles
from styletransfer.errors import OptionError

EXTENSIONS = (".png", ".jpg")


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def expand(word: str) -> list[str]:
    return [str(source) for source in expand_contents(word, EXTENSIONS)[0]]


def test_a_file_is_itself_whatever_its_extension() -> None:
    touch("photo.dat")
    assert expand_contents("photo.dat", EXTENSIONS) == ([InputFile(Path("photo.dat"))], False)


def test_a_folder_is_its_visible_pictures_in_order() -> None:
    touch("in/b.png", "in/a.JPG", "in/notes.txt", "in/.hidden.png", "in/deeper/c.png", "in/x.safetensors")
    assert expand("in") == ["in/a.JPG", "in/b.png"]
    assert expand_contents("in", EXTENSIONS)[1]


def test_a_folder_of_one_picture_still_stands_for_many() -> None:
    touch("in/a.png")
    assert expand_contents("in", EXTENSIONS)[1]


def test_patterns_reach_into_folders_and_home() -> None:
    touch("in/b.png", "in/deep/er/a.png", "in/notes.txt", str(Path("~/c.png").expanduser()))
    assert expand("in/**/*") == ["in/b.png", "in/deep/er/a.png"]
    assert expand("~/*.png") == [str(Path("~/c.png").expanduser())]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file() -> None:
    touch("photo[1].png", "photo1.png")
    assert expand("photo[1].png") == ["photo[1].png"]


def test_standard_input() -> None:
    (source,), many = expand_contents("-", EXTENSIONS)
    assert (str(source), source.stem, source.extension, many) == ("-", "stdin", "png", False)


def test_styles_may_be_statistics() -> None:
    touch("s/a.safetensors", "s/b.png")
    found = expand_styles(["s", "s/b.png"], EXTENSIONS)
    assert [source.stem for source in found] == ["a", "b", "b"]


@pytest.mark.parametrize("word", ["nothing.png", "*.png", "empty"])
def test_nothing_of_that_name(word: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(OptionError, match=rf"{word.replace('*', '[*]')}.*name a file, a folder or a pattern"):
        expand(word)


def test_a_style_is_never_standard_input() -> None:
    with pytest.raises(OptionError, match="only CONTENT"):
        expand_styles(["-"], EXTENSIONS)


@pytest.mark.parametrize(
    ("word", "folders"),
    [
        ("in/**/*.png", ["", "a", "a/b"]),
        ("in/*/*.png", ["a"]),
        ("in/a/../**/b/*.png", ["a/b"]),
        ("./*/*/*.png", ["in/a"]),
        ("in", [""]),
        ("in/1.png", [""]),
    ],
)
@pytest.mark.parametrize("absolute", [False, True])
def test_a_pattern_knows_the_folder_below_its_fixed_part(
    word: str, folders: list[str], absolute: bool
) -> None:
    touch("in/1.png", "in/a/1.png", "in/a/b/1.png")
    found, _ = expand_contents(f"{Path.cwd()}/{word}" if absolute else word, EXTENSIONS)
    assert [source.folder for source in found] == folders


@pytest.mark.skipif(os.name != "posix", reason="links need a right on Windows")
class TestLinks:
    def test_a_loop_of_links_gives_every_picture_once(self) -> None:
        touch("in/1.png", "in/a/2.png", "in/a/b/3.png")
        for name in ("again", "once_more"):  # with several, glob takes longer than the universe is old
            Path(f"in/a/b/{name}").symlink_to(Path("in").resolve())
            Path(f"in/{name}").symlink_to(Path("in/a").resolve())
        assert expand("in/**/*.png") == ["in/1.png", "in/a/2.png", "in/a/b/3.png"]
        assert expand("in/**") == ["in/1.png", "in/a/2.png", "in/a/b/3.png"]
        assert sorted(Path(each).name for each in expand("in/**/b/**/*.png")) == ["1.png", "2.png", "3.png"]

    def test_a_folder_behind_a_link_is_searched(self) -> None:
        touch("elsewhere/deep/1.png", "in/2.png")
        Path("in/link").symlink_to(Path("elsewhere").resolve())
        assert expand("in/**/*.png") == ["in/2.png", "in/link/deep/1.png"]

    def test_two_links_to_one_folder_are_one(self) -> None:
        touch("elsewhere/1.png")
        for name in ("a", "b"):
            Path("in").mkdir(exist_ok=True)
            Path("in", name).symlink_to(Path("elsewhere").resolve())
        assert expand("in/**/*.png") == ["in/a/1.png"]
        assert expand("*/**/*.png") == ["elsewhere/1.png"]

    def test_links_that_lead_nowhere_are_passed_over(self) -> None:
        touch("in/1.png")
        Path("in/lost").symlink_to("absent")
        Path("in/self").symlink_to("self")
        assert expand("in/**/*.png") == ["in/1.png"]


def test_hidden_folders_stay_hidden() -> None:
    touch("in/.cache/1.png", "in/2.png")
    assert expand("in/**/*.png") == ["in/2.png"]


def test_pictures_that_cannot_be_read_are_counted() -> None:
    touch("in/1.png", "in/2.HEIC", "in/3.heic", "in/a/4.heic", "in/5.cr2", "in/notes.txt", "in/._6.heic")
    remedies = {".heic": "run `pip`, or convert it to PNG", ".cr2": "export it as TIFF"}
    assert sorted(describe_unreadable(["in"], remedies)) == [
        "1 CR2 file cannot be read: export it as TIFF",
        "2 HEIC files cannot be read: run `pip`, or convert them to PNG",
    ]
    assert describe_unreadable(["in/**/*.heic", "in/1.png", "-"], remedies)[0].startswith("2 HEIC files")
    assert describe_unreadable(["in/2.HEIC"], remedies) == []
