"""`stylize --shards`: archives of pictures in, archives of results out, whole or not at all."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest

from styletransfer.cli.shards.shard_planning import expand_braces
from styletransfer.errors import OptionError, StyleTransferError
from styletransfer.tar_archive import list_files, read_members

from .conftest import Run
from .pictures import write_content

CORRUPT = b"\x89PNG\r\n\x1a\nnothing"


def write_archive(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write an archive whose members are dated by their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for index, (name, data) in enumerate(members.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1000 + index
            archive.addfile(info, io.BytesIO(data))
    return path


def read_archive(path: Path | str) -> dict[str, bytes]:
    with Path(path).open("rb") as file:
        return {member.info.name: member.data for member in read_members(file, str(path))}


def encode(seed: int, size: tuple[int, int] = (24, 16), form: str = "png") -> bytes:
    path = Path(f"encoded.{form}")
    write_content(path, size, seed=seed)
    data = path.read_bytes()
    path.unlink()
    return data


@pytest.fixture
def shards(folder: Path, style: Path) -> list[dict[str, bytes]]:
    """Three archives in/p-0.tar to in/p-2.tar with two samples each, one with a corrupt picture."""
    contents = []
    for index in range(3):
        members = {f"d/{index}0.png": encode(10 * index), f"d/{index}0.txt": b"a cat"}
        members |= {"d/bad.png": CORRUPT} if index == 1 else {}
        members |= {f"d/{index}1.png": encode(10 * index + 1), f"d/{index}1.cls": b"7"}
        write_archive(Path(f"in/p-{index}.tar"), members)
        contents.append(members)
    return contents


def test_members_are_those_of_a_folder_run_and_all_else_is_copied(
    run: Run, shards: list[dict[str, bytes]]
) -> None:
    result = run("stylize", "in/p-{0..2}.tar", "waves.png", "-o", "out/", "--shards", "--threads", "2")
    assert result.exit_code == 1
    assert result.stdout.split() == [f"out/p-{index}.tar" for index in range(3)]
    notes = result.stderr.splitlines()
    assert notes[-2].startswith("error: in/p-1.tar/d/bad.png: the picture is damaged")
    assert notes[-1].startswith("error: 1 picture in 1 archive failed; *.manifest.jsonl names them, ")
    for index, members in enumerate(shards):
        made = read_archive(f"out/p-{index}.tar")
        assert list(made) == [name for name in members if name != "d/bad.png"]
        for name, data in members.items():
            if name.endswith(".png") and name in made:
                Path("one").mkdir(exist_ok=True)
                (Path("one") / Path(name).name).write_bytes(data)
                assert run("stylize", f"one/{Path(name).name}", "waves.png", "-o", "one.png").exit_code == 0
                assert made[name] == Path("one.png").read_bytes()
                Path("one.png").unlink()
            elif name in made:
                assert made[name] == data
    with tarfile.open("out/p-0.tar") as archive:
        assert [member.mtime for member in archive] == [1000, 1001, 1002, 1003]
    rows = [json.loads(line) for line in Path("out/p-1.manifest.jsonl").read_text().splitlines()]
    assert [rows[0][name] for name in ("content", "pictures", "copied", "failed")] == ["in/p-1.tar", 2, 2, 1]
    assert [row["member"] for row in rows[1:]] == ["d/bad.png"]


def test_the_same_command_skips_what_is_done_and_still_names_what_failed(
    run: Run, shards: list[dict[str, bytes]]
) -> None:
    words = ("stylize", "in", "waves.png", "-o", "out/", "--shards", "--json")
    first = run(*words)
    assert [json.loads(line)["failed"] for line in first.stdout.splitlines()] == [0, 1, 0]
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    Path("out/p-2.tar").unlink()
    again = run(*words)
    assert again.exit_code == 1
    assert [json.loads(line)["output"] for line in again.stdout.splitlines()] == ["out/p-2.tar"]
    assert "skipped 2 of 3 archives" in again.stderr
    assert "d/bad.png" in again.stderr
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before
    other = run(*words, "-a", "0.5")
    assert "3 of them were made with other settings" in other.stderr
    forced = run(*words, "-a", "0.5", "-f")
    assert len(forced.stdout.splitlines()) == 3
    assert Path("out/p-0.tar").read_bytes() != before["p-0.tar"]


def test_a_stop_costs_the_open_archive_alone(model: str, style: Path) -> None:
    picture = encode(0, (400, 300))
    names = [f"{number}.png" for number in range(30)]
    for index in range(4):
        write_archive(Path(f"in/{index}.tar"), dict.fromkeys(names, picture))
    words = [sys.executable, "-m", "styletransfer", "stylize", "in", "waves.png", "-m", model, "--shards"]
    words += ["--threads", "2", "-o", "out/"]
    done: list[str] = []
    for stop in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        done.append(process.stdout.readline().strip())
        process.send_signal(stop)
        rest, errors = process.communicate(timeout=60)
        done += rest.split()
        assert process.returncode == (130 if stop == signal.SIGINT else -stop)
        assert sorted(map(str, Path("out").glob("*.tar"))) == done
    assert len(done) < 4
    assert "archives are done; the same command does the rest" in errors
    again = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert [*done, *again.stdout.split()] == [f"out/{index}.tar" for index in range(4)]
    for index in range(4):
        assert list(read_archive(f"out/{index}.tar")) == names


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (700, "unexpected end of data"),
        (1024, "it ends too early"),
        (1024 + 100, "truncated header"),
        ("garbage", "invalid header"),
    ],
)
def test_a_damaged_archive_gives_no_archive_and_the_others_are_done(
    run: Run, style: Path, cut: int | str, message: str
) -> None:
    members = {"a.txt": b"a" * 512, "b.png": encode(1)}
    write_archive(Path("in/0.tar"), members)
    write_archive(Path("in/1.tar"), members)
    data = Path("in/0.tar").read_bytes()
    damaged = data[:cut] if isinstance(cut, int) else data[:1024] + b"x" * 512 + data[1536:]
    Path("in/0.tar").write_bytes(damaged)
    result = run("stylize", "in", "waves.png", "-o", "out/", "--shards")
    assert result.exit_code == 1
    assert f"error: in/0.tar: not a readable tar archive ({message}" in result.stderr
    assert "error: 1 of 2 archives failed" in result.stderr
    assert sorted(path.name for path in Path("out").iterdir()) == ["1.manifest.jsonl", "1.tar"]


def test_names_of_results(run: Run, style: Path) -> None:
    write_content(Path("dots.png"), (32, 32), seed=2)
    members = {"d/a.png": encode(1), "d/a.jpg": encode(2, form="jpg"), "._a.png": b"junk", "d/b.heif": b"x"}
    write_archive(Path("in/s.tar.gz"), members)
    words = ("stylize", "in/s.tar.gz", "waves.png")
    run(*words, "-o", "one/", "--shards")
    assert list(read_archive("one/s.tar"))[:3] == ["d/a.png", "d/a_jpg.png", "._a.png"]
    run(*words, "-o", "jpeg/{content}.jpg", "--shards")
    assert list(read_archive("jpeg/s.tar"))[:2] == ["d/a.jpg", "d/a_jpg.jpg"]
    run(*words, "dots.png", "-o", "two/", "--shards")
    assert list(read_archive("two/s.tar"))[:2] == ["d/a_waves.png", "d/a_dots.png"]
    run(*words, "dots.png", "--style-weights", "1,1", "-o", "blend/", "--shards")
    assert list(read_archive("blend/s.tar"))[:2] == ["d/a.png", "d/a_jpg.png"]


def test_every_archive_belongs_to_one_part_of_the_work(run: Run, shards: list[dict[str, bytes]]) -> None:
    words = ("stylize", "in/p-*.tar", "waves.png", "-o", "out/", "--shards", "--dry-run")
    lines = [run(*words, "--shard", f"{part}/2").stdout.splitlines() for part in range(2)]
    assert sorted(lines[0] + lines[1]) == [f"in/p-{index}.tar -> out/p-{index}.tar" for index in range(3)]
    assert lines[0]
    assert lines[1]


def test_fail_fast_stops_at_the_first_picture(run: Run, shards: list[dict[str, bytes]]) -> None:
    result = run("stylize", "in", "waves.png", "-o", "out/", "--shards", "--fail-fast")
    assert result.exit_code == 1
    assert "error: in/p-1.tar/d/bad.png: the picture is damaged" in result.stderr
    assert [path.name for path in sorted(Path("out").glob("*.tar"))] == ["p-0.tar"]


def test_an_archive_of_which_every_picture_fails_is_not_done(
    run: Run, shards: list[dict[str, bytes]]
) -> None:
    words = ("stylize", "in/p-0.tar", "bad.jpg", "-o", "out/", "--shards")
    Path("bad.jpg").write_bytes(b"no picture")
    failed = run(*words)
    assert failed.exit_code == 1
    assert "in/p-0.tar: every picture failed, the first: " in failed.stderr
    assert "bad.jpg: this is not a picture" in failed.stderr
    assert list(Path("out").iterdir()) == []
    Path("waves.png").rename("bad.jpg")
    assert run(*words).exit_code == 0
    before = Path("out/p-0.tar").read_bytes()
    Path("bad.jpg").write_bytes(b"no picture")
    assert run(*words, "-f").exit_code == 1
    assert Path("out/p-0.tar").read_bytes() == before


def test_samples_stay_together_whatever_precedes_their_names(run: Run, style: Path) -> None:
    members = {"./0.jpg": encode(1, form="jpg"), "./0.txt": b"a", "/a//1.png": encode(2), "/a//1.txt": b"b"}
    write_archive(Path("in/s.tar"), {**members, "./0.png": encode(3)})
    assert run("stylize", "in/s.tar", "waves.png", "-o", "out/", "--shards").exit_code == 0
    assert list(read_archive("out/s.tar")) == ["./0.png", "./0.txt", "/a//1.png", "/a//1.txt", "./0_png.png"]


def test_files_with_holes_and_folders_that_come_twice(run: Run, style: Path) -> None:
    Path("d").mkdir()
    with Path("d/big.npy").open("wb") as file:
        file.truncate(300_000)
        file.write(b"end")
    Path("d/a.png").write_bytes(encode(1))
    Path("in").mkdir()
    command = [
        "tar",
        "--sparse",
        "--format=gnu",
        "--no-recursion",
        "-cf",
        "in/s.tar",
        "d/",
        "d/big.npy",
        "d/a.png",
        "d/",
    ]
    subprocess.run(command, check=True)
    assert run("stylize", "in/s.tar", "waves.png", "-o", "out/", "--shards").exit_code == 0
    with tarfile.open("out/s.tar") as archive:
        assert archive.getnames() == ["d", "d/big.npy", "d/a.png"]
        found = archive.extractfile("d/big.npy")
        assert found is not None
        assert found.read() == Path("d/big.npy").read_bytes()


def test_a_file_that_exists_is_itself_whatever_its_name(run: Run, style: Path) -> None:
    for name in ("p[1].tar", "q{1,2}.tar", "x[y]/s.tar"):
        write_archive(Path("in") / name, {"a.png": encode(1)})
        result = run("stylize", f"in/{name}", "waves.png", "-o", f"out-{name[0]}/", "--shards")
        assert result.exit_code == 0, result.stderr
    Path("in/folder.tar").mkdir()
    lines = run("stylize", "in", "waves.png", "-o", "out/", "--shards", "--dry-run").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["in/p[1].tar", "in/q{1,2}.tar"]


def test_what_follows_the_end_of_an_archive_is_an_error() -> None:
    one = write_archive(Path("one.tar"), {"a.txt": b"a"}).read_bytes()
    for reader in (read_members, list_files):
        assert len(list(reader(io.BytesIO(one), "x"))) == 1
        assert len(list(reader(io.BytesIO(one + bytes(70_000)), "x"))) == 1
        with pytest.raises(StyleTransferError, match="data follows its end"):
            list(reader(io.BytesIO(one + one), "x"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("in/p-{0..3}.tar", "waves.png", "-o", "out/"), "in/p-3.tar: no such file"),
        (
            ("in/p-0.tar", "in/p-1.tar", "waves.png", "-o", "out/"),
            "the STYLE in/p-1.tar is an archive; quote",
        ),
        (("in", "waves.png"), "--shards writes archives into a folder; name it: -o painted/"),
        (("in", "waves.png", "-o", "out"), "out is no folder; for a folder, end its name in a slash: out/"),
        (("in", "waves.png", "-o", "in/"), "p-0.tar is an input and would be overwritten"),
        (("in/z.tar.gz", "waves.png", "-o", "in/"), "in holds the contents; choose another folder"),
        (("in", "waves.png", "-o", "out/{style}.png"), "the results of all pictures would be waves.png"),
        (("in", "waves.png", "-o", "out/{content}.xyz"), "the picture format '.xyz' is unknown"),
        (("in", "waves.png", "-o", "{style}/{content}.png"), "{style} has fields"),
        (("{in,in}/p-0.tar", "waves.png", "-o", "out/"), "2 archives would all be written to out/p-0.tar"),
        (("in", "waves.png", "in", "-o", "out/"), "in holds no pictures"),
        (("in", "waves.png", "waves.png", "-o", "out/{content}.png"), "several results of a picture"),
        (
            ("in", "waves.png", "-o", "out/", "--if-exists", "rename"),
            "--if-exists rename is for single files",
        ),
        (("-", "waves.png", "-o", "out/"), "shards cannot be read from standard input"),
        (("nothing", "waves.png", "-o", "out/"), "nothing: no such file"),
        (("empty", "waves.png", "-o", "out/"), "empty holds no .tar archives"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(
    run: Run, shards: list[dict[str, bytes]], words: tuple[str, ...], message: str
) -> None:
    Path("empty").mkdir()
    if "in/z.tar.gz" in words:
        write_archive(Path("in/z.tar.gz"), shards[0])
    result = run("stylize", *words, "--shards")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a-{08..10}.tar", ["a-08.tar", "a-09.tar", "a-10.tar"]),
        ("a-{2..0}.tar", ["a-2.tar", "a-1.tar", "a-0.tar"]),
        ("{cats,dogs}/{0..1}", ["cats/0", "cats/1", "dogs/0", "dogs/1"]),
        ("{content}.tar", ["{content}.tar"]),
        ("s3://b/{00..01}.tar", ["s3://b/00.tar", "s3://b/01.tar"]),
    ],
)
def test_braces_are_those_of_a_shell(text: str, names: list[str]) -> None:
    assert list(expand_braces(text)) == names
    shell = subprocess.run(["bash", "-c", f"echo {text}"], capture_output=True, text=True, check=True)
    assert shell.stdout.split() == names


def test_too_many_names_are_refused() -> None:
    with pytest.raises(OptionError, match="more than"):
        list(expand_braces("{0..9999}/{0..9999}"))


def test_an_archive_is_read_in_the_memory_of_one_member() -> None:
    names = (f"{number:06}.txt" for number in range(4000))
    path = write_archive(Path("many.tar"), dict.fromkeys(names, b"x" * 600))
    tracemalloc.start()
    with path.open("rb") as file:
        count = sum(1 for _ in read_members(file, "many.tar"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 4000
    assert peak < 400_000


def test_what_is_no_archive_is_refused() -> None:
    with pytest.raises(StyleTransferError, match="x: not a readable tar archive"):
        list(read_members(io.BytesIO(b"not an archive" * 100), "x"))
