from __future__ import annotations

import json
from pathlib import Path

import pytest

from styletransfer.errors import OptionError
from styletransfer.evaluation.plan import Pair, combine_pairs, find_outputs, list_candidates, read_pairs

EXTENSIONS = {".jpg", ".png"}


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_pairs_are_read_from_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "sea.content.jpg", "sea.style.PNG", "cat.v2.content.jpg", "cat.v2.style.jpg")
    touch(tmp_path, "sea.peer.jpg", "notes.txt", ".sea.content.jpg", "content.jpg")
    assert read_pairs(tmp_path, EXTENSIONS) == [
        Pair("cat.v2", tmp_path / "cat.v2.content.jpg", tmp_path / "cat.v2.style.jpg"),
        Pair("sea", tmp_path / "sea.content.jpg", tmp_path / "sea.style.PNG"),
    ]


def test_pairs_are_read_from_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("name,content,style\nfirst,a.jpg,art/b.jpg\n,c.jpg,/far/d.jpg\n", encoding="utf-8-sig")
    assert read_pairs(path, EXTENSIONS) == [
        Pair("first", tmp_path / "a.jpg", tmp_path / "art/b.jpg"),
        Pair("c_d", tmp_path / "c.jpg", Path("/far/d.jpg")),
    ]


def test_every_content_is_paired_with_every_style() -> None:
    pairs = combine_pairs([Path("a.jpg"), Path("b.jpg")], [Path("c.jpg"), Path("d.jpg")])
    assert [pair.name for pair in pairs] == ["a_c", "a_d", "b_c", "b_d"]


def test_outputs_are_grouped_by_method(tmp_path: Path) -> None:
    touch(tmp_path, "a_c.ours.png", "b_c.ours.png", "b_c.peer.jpg", "a_c.content.jpg", "z_z.ours.png")
    first, second = combine_pairs([Path("a.jpg"), Path("b.jpg")], [Path("c.jpg")])
    assert find_outputs(tmp_path, [first, second], EXTENSIONS) == {
        "ours": {first: tmp_path / "a_c.ours.png", second: tmp_path / "b_c.ours.png"},
        "peer": {second: tmp_path / "b_c.peer.jpg"},
    }


def test_candidates_are_listed_pair_by_pair(tmp_path: Path) -> None:
    touch(tmp_path, "a_c.peer.png")
    pairs = combine_pairs([Path("a.jpg"), Path("b.jpg")], [Path("c.jpg")])
    candidates = list_candidates(pairs, tmp_path, "models/ours.safetensors", (1, 0.5))
    assert [(each.pair.name, each.method, each.output, each.alpha) for each in candidates] == [
        ("a_c", "content itself", Path("a.jpg"), 1),
        ("a_c", "peer", tmp_path / "a_c.peer.png", 1),
        ("a_c", "ours", None, 1),
        ("a_c", "ours at alpha 0.5", None, 0.5),
        ("b_c", "content itself", Path("b.jpg"), 1),
        ("b_c", "ours", None, 1),
        ("b_c", "ours at alpha 0.5", None, 0.5),
    ]
    assert [each.method for each in list_candidates(pairs, None, None, (1,))] == ["content itself"] * 2


def test_a_candidate_describes_itself_as_json() -> None:
    (pair,) = combine_pairs([Path("a.jpg")], [Path("c.jpg")])
    _, candidate = list_candidates([pair], None, "ours", (1,))
    assert candidate.inputs == ["a.jpg", "c.jpg"]
    assert json.loads(candidate.describe(ssim=0.5)) == {
        "pair": "a_c",
        "method": "ours",
        "content": "a.jpg",
        "style": "c.jpg",
        "output": None,
        "ssim": 0.5,
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
        (no_outputs, "no outputs of these pairs; name them like a_c.METHOD.jpg"),
        (half_a_pair, "sea has no style; add sea.style.jpg"),
        (wrong_columns, "not a list of pairs; it needs the columns content and style"),
        (short_line, "line 3 has no style"),
        (a_picture, "not a readable list of pairs"),
        (lambda folder: read_pairs(folder, EXTENSIONS), "no pairs; name them NAME.content.jpg"),
        (lambda folder: read_pairs(folder / "absent", EXTENSIONS), "no such folder or list of pairs"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, act: object, message: str) -> None:
    assert callable(act)
    with pytest.raises(OptionError, match=message) as caught:
        act(tmp_path)
    assert "\n" not in str(caught.value)
