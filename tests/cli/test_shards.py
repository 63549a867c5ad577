"""`--shard I/N`: several processes share the work of one command."""

from __future__ import annotations

import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from styletransfer.errors import OptionError
from styletransfer.options import ShardOptions

from .conftest import Run
from .pictures import write_content

COUNTS = (1, 2, 3, 16)


@given(names=st.lists(st.text(), min_size=1), count=st.integers(1, 50))
def test_every_item_belongs_to_exactly_one_shard(names: list[str], count: int) -> None:
    names = [name.encode("utf-8", "replace").decode() for name in names]
    held = [index for index in range(count) if ShardOptions(shard=f"{index}/{count}").holds(*names)]
    assert len(held) == 1


def test_the_shard_of_a_name_never_changes() -> None:
    """Processes of different versions may share work, so this is a promise."""
    assert ShardOptions(shard="10/16").holds("a")
    assert ShardOptions(shard="15/16").holds("/cat.jpg")


@pytest.mark.parametrize(("files", "largest"), [(100, 9), (1000, 70), (10_000, 665)])
def test_shards_are_about_equal(files: int, largest: int) -> None:
    """docs/scale.md has these numbers."""
    shards = [ShardOptions(shard=f"{index}/16") for index in range(16)]
    names = [(f"/IMG_{number:05d}.jpg", "/painting.jpg") for number in range(files)]
    sizes = [sum(shard.holds(*name) for name in names) for shard in shards]
    assert (sum(sizes), max(sizes)) == (files, largest)


@pytest.mark.parametrize("text", ["", "3", "3/", "/3", "a/b", "-1/3", "1.5/3", "3/3", "0/0", "1/2/3", " 0/2"])
def test_what_is_no_shard_is_refused(text: str, run: Run, style: Path) -> None:
    with pytest.raises(
        OptionError, match=r"write 0/16 for the first|the first of 3 parts is 0/3 and the last 2/3"
    ):
        ShardOptions(shard=text)
    write_content(Path("cat.png"), (16, 12))
    result = run("stylize", "cat.png", "waves.png", "--shard", text)
    assert result.exit_code == 2
    assert not list(Path().glob("cat_*"))


class TestFolder:
    @pytest.fixture(autouse=True)
    def _contents(self, style: Path) -> None:
        for number in range(7):
            write_content(Path(f"in/{number}.png"), (16, 12), seed=number)
        write_content(Path("dots.png"), (24, 16), seed=9)

    def stylize(self, run: Run, folder: str, *words: str) -> list[str]:
        result = run("stylize", "in", "waves.png", "dots.png", "-o", folder, *words)
        assert result.exit_code == 0, result.stderr
        return list(result.stdout.split())

    @pytest.mark.parametrize("count", COUNTS)
    def test_all_shards_together_are_the_whole_run(self, run: Run, count: int) -> None:
        whole = self.stylize(run, "whole/")
        parts = [self.stylize(run, "parts/", "--shard", f"{i}/{count}") for i in range(count)]
        assert sum(map(len, parts)) == 14
        assert sorted(chain(*parts)) == sorted(name.replace("whole", "parts") for name in whole)
        for name in whole:
            assert Path(name).read_bytes() == Path(name.replace("whole", "parts")).read_bytes()

    def test_a_shard_says_how_much_it_has(self, run: Run) -> None:
        result = run("stylize", "in", "waves.png", "-o", "out/", "--shard", "0/1000")
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == "shard 0/1000 has 0 of 7 results\n"

    def test_a_repeated_shard_resumes(self, run: Run) -> None:
        made = self.stylize(run, "out/", "--shard", "1/2")
        Path(made[0]).unlink()
        times = {name: Path(name).stat().st_mtime_ns for name in made[1:]}
        assert self.stylize(run, "out/", "--shard", "1/2") == made[:1]
        assert times == {name: Path(name).stat().st_mtime_ns for name in made[1:]}

    def test_a_shard_of_one_result_resumes_too(self, run: Run) -> None:
        """Whether existing results are errors depends on the whole command."""
        shard = next(
            f"{i}/16" for i in range(16) if len(self.stylize(run, "all/", "--shard", f"{i}/16")) == 1
        )
        assert len(self.stylize(run, "out/", "--shard", shard)) == 1
        assert self.stylize(run, "out/", "--shard", shard) == []

    def test_files_that_are_added_do_not_move_the_others(self, run: Run) -> None:
        first = self.stylize(run, "out/", "--shard", "0/2")
        write_content(Path("in/00.png"), (16, 12), seed=20)
        second = self.stylize(run, "out/", "--shard", "1/2")
        assert not set(first) & set(second)
        assert len([name for name in (*first, *second) if "/00_" not in name]) == 14

    def test_results_beside_the_contents_are_no_contents(self, run: Run) -> None:
        made = [self.stylize(run, "in/", "--shard", f"{i}/3") for i in range(3)]
        assert sum(map(len, made)) == len(set(chain(*made))) == 14

    def test_names_do_not_depend_on_the_shard(self, run: Run) -> None:
        write_content(Path("in/0.jpg"), (16, 12), seed=30)
        words = ("--color-only", "--lut", "looks/")
        whole = self.stylize(run, "whole/", *words)
        luts = sorted(path.name for path in Path("looks").iterdir())
        each = [self.stylize(run, "parts/", *words, "--shard", f"{i}/9", "-f") for i in range(9)]
        parts = list(chain(*each))
        assert sorted(parts) == sorted(name.replace("whole", "parts") for name in whole)
        assert "parts/0_jpg_waves.png" in parts
        assert len(luts) == 16
        assert sorted(path.name for path in Path("looks").iterdir()) == luts

    def test_two_shards_may_not_write_the_same_file(self, run: Run) -> None:
        for words in (("-o", "out/{style}.png"), ("-o", "out/", "--color-only", "--lut", "{style}.cube")):
            for index in range(16):
                result = run("stylize", "in", "waves.png", *words, "--shard", f"{index}/16")
                assert result.exit_code == 2
                assert "7 results would all be written to" in result.stderr

    def test_an_existing_result_of_another_shard_is_no_error(self, run: Run) -> None:
        parts = [self.stylize(run, "out/", "--shard", f"{i}/2", "--if-exists", "error") for i in range(2)]
        assert sum(map(len, parts)) == 14
        assert run("stylize", "in", "waves.png", "-o", "out/", "--if-exists", "error").exit_code == 1

    @pytest.mark.parametrize("order", [1, -1])
    def test_renamed_results_keep_away_from_names_of_other_shards(self, run: Run, order: int) -> None:
        write_content(Path("in/0_1.png"), (16, 12), seed=41)
        write_content(Path("out/0.png"), (8, 8))
        words = ("stylize", "in", "-o", "out/{content}.png", "waves.png", "--if-exists", "rename")
        made = [run(*words, "--shard", f"{i}/5").stdout.split() for i in range(5)[::order]]
        assert sorted(chain(*made)) == sorted(f"out/{name}.png" for name in ("0_1", "0_2", *range(1, 7)))

    def test_a_dry_run_shows_the_shard(self, run: Run) -> None:
        lines = [self.stylize(run, "out/", "-n", "--json", "--shard", f"{i}/2") for i in range(2)]
        assert len(lines[0]) != 0
        assert not Path("out").exists()

    def test_the_variable_is_the_option(self, run: Run) -> None:
        by_option = self.stylize(run, "a/", "--shard", "1/3")
        result = run("stylize", "in", "waves.png", "dots.png", "-o", "b/", STYLETRANSFER_SHARD="1/3")
        assert result.stdout.split() == [name.replace("a/", "b/") for name in by_option]

    def test_standard_output_is_not_divided(self, run: Run) -> None:
        result = run("stylize", "in/0.png", "waves.png", "-o", "-", "--shard", "0/2")
        assert result.exit_code == 2
        assert "--shard divides several results" in result.stderr

    @pytest.mark.slow
    def test_shards_as_processes_at_the_same_time(self, model: str) -> None:
        words = [sys.executable, "-m", "styletransfer", "stylize", "in", "waves.png", "dots.png", "-m", model]
        running = [
            subprocess.Popen(
                [*words, "-q", "-o", "out/", "--threads", "1", "--shard", f"{i}/3"], stdout=subprocess.PIPE
            )
            for i in range(3)
        ]
        made = [process.communicate()[0].split() for process in running]
        assert [process.returncode for process in running] == [0, 0, 0]
        assert len(set(chain(*made))) == 14
        assert len(list(Path("out").iterdir())) == 14


class TestStatistics:
    @pytest.mark.parametrize("count", COUNTS)
    def test_all_shards_together_are_the_whole_run(self, run: Run, style: Path, count: int) -> None:
        for number in range(4):
            write_content(Path(f"art/{number}.png"), (32, 24), seed=number)
        run("style-stats", "art", "-o", "whole/")
        made = []
        for index in range(count):
            for _ in range(2):  # the second time, everything exists
                result = run("style-stats", "art", "-o", "parts/", "--shard", f"{index}/{count}")
                assert result.exit_code == 0
                made += result.stdout.split()
            assert f"nothing is left to do in shard {index}/{count}" in result.stderr
        assert sorted(made) == [f"parts/{number}.safetensors" for number in range(4)]
        for name in made:
            one, other = load_file(name), load_file(name.replace("parts", "whole"))
            assert one.keys() == other.keys()
            assert all(one[key].equal(other[key]) for key in one)

    def test_two_shards_may_not_write_the_same_file(self, run: Run, style: Path) -> None:
        write_content(Path("art/waves.png"), (32, 24))
        for index in range(4):
            result = run("style-stats", "art/waves.png", "waves.png", "-o", "s/", "--shard", f"{index}/4")
            assert result.exit_code == 2
            assert "2 results would all be written to" in result.stderr
