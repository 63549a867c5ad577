from __future__ import annotations

from pathlib import Path

import pytest

from styletransfer.errors import OptionError
from styletransfer.evaluation.pairs import Pair, combine_pairs, find_outputs, read_pairs

EXTENSIONS = {".jpg", ".png"}


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_a_folder_of_pairs(tmp_path: Path) -> None:
    touch(tmp_path, "sea.content.jpg", "sea.style.PNG", "cat.v2.content.jpg", "cat.v2.style.jpg")
    touch(tmp_path, "sea.peer.jpg", "notes.txt", ".sea.content.jpg", "content.jpg")
    assert read_pairs(tmp_path, EXTENSIONS) == [
        Pair("cat.v2", tmp_path / "cat.v2.content.jpg", tmp_path / "cat.v2.style.jpg"),
        Pair("sea", tmp_path / "sea.content.jpg", tmp_path / "sea.style.PNG"),
    ]


def test_a_list_of_pairs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("name,content,style\nfirst,a.jpg,art/b.jpg\n,c.jpg,/far/d.jpg\n", encoding="utf-8-sig")
    assert read_pairs(path, EXTENSIONS) == [
        Pair("first", tmp_path / "a.jpg", tmp_path / "art/b.jpg"),
        Pair("c_d", tmp_path / "c.jpg", Path("/far/d.jpg")),
    ]


def test_every_content_with_every_style() -> None:
    pairs = combine_pairs([Path("a.jpg"), Path("b.jpg")], [Path("c.jpg"), Path("d.jpg")])
    assert [pair.name for pair in pairs] == ["a_c", "a_d", "b_c", "b_d"]


def test_outputs_by_method(tmp_path: Path) -> None:
    touch(tmp_path, "a_c.ours.png", "b_c.ours.png", "b_c.peer.jpg", "a_c.content.jpg", "z_z.ours.png")
    first, second = combine_pairs([Path("a.jpg"), Path("b.jpg")], [Path("c.jpg")])
    assert find_outputs(tmp_path, [first, second], EXTENSIONS) == {
        "ours": {first: tmp_path / "a_c.ours.png", second: tmp_path / "b_c.ours.png"},
        "peer": {second: tmp_path / "b_c.peer.jpg"},
    }


def no_outputs(folder: Path) -> object:
    return find_outputs(folder, combine_pairs([Path("a.jpg")], [Path("c.jpg")]), EXTENSIONS)


def half_a_pair(folder: Path) -> object:
    touch(folder, "sea.content.jpg")
    return read_pairs(folder, EXTENSIONS)


def wrong_columns(folder: Path) -> object:
    (folder / "list.csv").write_text("photo,art\na.jpg,b.jpg\n")
    return read_pairs(folder / "list.csv", EXTENSIONS)


def short_line(folder: Path) -> object:
    (folder / "list.csv").write_text("content,style\na.jpg,b.jpg\nc.jpg\n")
    return read_pairs(folder / "list.csv", EXTENSIONS)


def a_picture(folder: Path) -> object:
    (folder / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    return read_pairs(folder / "a.jpg", EXTENSIONS)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (no_outputs, "no outputs of these pairs; they are named like a_c.METHOD.jpg"),
        (half_a_pair, "sea has no style"),
        (wrong_columns, "no list of pairs; its columns are content, style"),
        (short_line, "line 3 has no style"),
        (a_picture, "no readable list of pairs"),
        (lambda folder: read_pairs(folder, EXTENSIONS), "no pairs; they are named NAME.content.jpg"),
        (lambda folder: read_pairs(folder / "absent", EXTENSIONS), "no such folder or list of pairs"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, act: object, message: str) -> None:
    assert callable(act)
    with pytest.raises(OptionError, match=message) as caught:
        act(tmp_path)
    assert "\n" not in str(caught.value)
