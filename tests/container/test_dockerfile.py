"""What the Dockerfile promises, as far as it can be read from it; `run_layers` runs its commands."""

from __future__ import annotations

import json
import shlex
import subprocess

from styletransfer.cli import program

from .dockerfile import ROOT, is_sent, read_instructions

INSTRUCTIONS = read_instructions()


def find(name: str) -> list[str]:
    return [each.rest for each in INSTRUCTIONS if each.name == name]


def list_tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def test_everything_that_is_copied_exists_and_is_sent() -> None:
    for rest in find("COPY"):
        *sources, _ = shlex.split(rest)
        if not sources[0].startswith("--from="):
            assert all(is_sent(ROOT / source) for source in sources)
            assert all((ROOT / source).exists() for source in sources)


def test_nothing_else_is_sent() -> None:
    sent = [path for path in list_tracked() if is_sent(ROOT / path)]
    assert {path.partition("/")[0] for path in sent} == {
        *("pyproject.toml", "README.md", "LICENSE", "styletransfer", "weights"),
    }
    assert sum((ROOT / path).stat().st_size for path in sent) < 20e6
    assert not is_sent(ROOT / "styletransfer/cli/__pycache__/console.pyc")


def test_the_wheel_finds_all_of_its_files() -> None:
    import tomllib

    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = build["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert all(is_sent(ROOT / path) for path in wheel["force-include"])
    assert all(is_sent(ROOT / path) for path in build["project"]["license-files"])


def test_it_does_not_run_as_root() -> None:
    names = [each.name for each in INSTRUCTIONS]
    assert find("USER") == ["styletransfer"]
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_it_starts_the_page_for_other_machines() -> None:
    (entry,), (command,) = (list(map(json.loads, find(name))) for name in ("ENTRYPOINT", "CMD"))
    assert entry == ["styletransfer"]
    serve = program.get_command(program.make_context("styletransfer", ["env"]), command[0])
    assert serve is not None
    with serve.make_context("serve", command[1:]) as context:
        assert context.params["host"] == "0.0.0.0"
        assert find("EXPOSE") == [str(context.params["port"])]
