"""`stylize --engine ray` gives what a local run gives, and survives the loss of workers and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from cli.pictures import write_content

from .conftest import CORRUPT, PICTURES, STYLIZE, run

pytestmark = pytest.mark.slow


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def find_workers() -> list[int]:
    """List the processes of actors that run jobs, of this user's Ray clusters."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if title.startswith(b"ray::_Worker"):
            found.append(int(folder.name))
    return found


def test_bytes_lines_and_code_are_those_of_a_local_run(
    inputs: Path, model: str, cluster: str, local_results: Path
) -> None:
    words = [*STYLIZE, "photos", "waves.png", "-m", model, "-o", "all/", "--json"]
    done = run([*words, "--engine", "ray", "--address", cluster, "--workers", "2"], inputs)
    assert done.returncode == 1, done.stderr
    assert read_files(inputs / "all") == read_files(local_results)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    names = [f"photos/p{index:02}.png" for index in range(PICTURES)]
    assert [line["content"] for line in lines] == names
    assert [line["content"] for line in lines if "error" in line] == [f"photos/{CORRUPT}"]
    assert {line["model"] for line in lines} == {model}
    notes = done.stderr.splitlines()
    assert notes[-2].startswith(f"error: photos/{CORRUPT}: ")
    assert notes[-1] == f"error: 1 of {PICTURES} results failed"

    (inputs / "all" / "p07_waves.png").unlink()
    again = run([*words, "--engine", "ray", "--address", cluster], inputs)
    redone = [json.loads(line)["content"] for line in again.stdout.splitlines()]
    assert redone == [f"photos/{CORRUPT}", "photos/p07.png"]
    assert read_files(inputs / "all") == read_files(local_results)


def test_jobs_of_a_killed_worker_run_again(tmp_path: Path, model: str, cluster: str) -> None:
    count = 40
    for index in range(count):
        write_content(tmp_path / "photos" / f"{index:02}.png", (700, 500), seed=index)
    write_content(tmp_path / "waves.png", (48, 48), seed=99)
    words = [*STYLIZE, "photos", "waves.png", "-m", model, "-o", "out/", "--engine", "ray"]
    process = subprocess.Popen(
        [*words, "--address", cluster, "--workers", "2"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    os.kill(find_workers()[0], signal.SIGKILL)
    rest, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert "a worker was lost" in errors
    written = Counter([first.strip(), *rest.split()])
    assert set(written.values()) == {1}
    assert len(written) == count
    assert len([path for path in (tmp_path / "out").iterdir() if path.suffix == ".png"]) == count


def test_ctrl_c_stops_and_the_same_command_does_the_rest(tmp_path: Path, model: str, cluster: str) -> None:
    count = 60
    for index in range(count):
        write_content(tmp_path / "photos" / f"{index:02}.png", (700, 500), seed=index)
    write_content(tmp_path / "waves.png", (48, 48), seed=99)
    words = [*STYLIZE, "photos", "waves.png", "-m", model, "-o", "out/", "--engine", "ray"]
    words += ["--address", cluster, "--workers", "1"]
    process = subprocess.Popen(
        words,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all processes of the group
    rest, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    stopped = [first.strip(), *rest.split()]
    assert 0 < len(stopped) < count
    assert "the same command does the rest" in errors
    assert {path.name for path in (tmp_path / "out").iterdir()} == {Path(each).name for each in stopped}
    again = run(words, tmp_path)
    assert again.returncode == 0, again.stderr
    assert sorted([*stopped, *again.stdout.split()]) == [
        f"out/{index:02}_waves.png" for index in range(count)
    ]


def test_a_model_that_is_missing_ends_the_run_with_its_code(inputs: Path, cluster: str) -> None:
    words = [*STYLIZE, "photos", "waves.png", "-m", "none.safetensors", "-o", "none/", "--engine", "ray"]
    done = run([*words, "--address", cluster, "--workers", "1"], inputs)
    assert done.returncode == 3
    assert done.stderr.startswith("error: none.safetensors: no such weights file")
    assert not (inputs / "none").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--workers", "2"), "--workers is for Ray alone; add --engine ray"),
        (("--engine", "ray", "-o", "-"), "cannot write to -o -"),
        (("--engine", "ray", "--address", "somewhere"), "give auto, HOST:PORT or ray://HOST:PORT"),
        (("--engine", "ray", "--gpus-per-worker", "1.5"), "above 1 it is a whole number"),
    ],
)
def test_what_cannot_be_is_refused(inputs: Path, words: tuple[str, ...], message: str) -> None:
    done = run([*STYLIZE, "photos/p00.png", "waves.png", *words], inputs)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_machine_without_ray_is_told_how_to_get_it(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError(\"No module named 'ray'\", name='ray')")
    words = [*STYLIZE, "photos/p00.png", "waves.png", "--engine", "ray", "-o", "x/"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}")
        done = run(words, inputs)
    assert done.returncode == 2
    assert "pip install 'styletransfer[ray]'" in done.stderr
