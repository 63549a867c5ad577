"""Make the pictures of docs/gallery.md again by the commands that the page shows: `python -m
examples.command_gallery`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "gallery.md"


def read_commands(page: str) -> tuple[dict[str, str], list[list[str]]]:
    """Return the variables that the commands of a page share, and the words of each command."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    words = [shlex.split(line) for line in lines]
    variables = dict(word.split("=", 1) for line in words if line[0] == "export" for word in line[1:])
    return variables, [line for line in words if line[0] == "styletransfer"]


def main() -> None:
    """Run every command that the page shows."""
    variables, commands = read_commands(PAGE.read_text(encoding="utf-8"))
    (ROOT / "docs" / "images" / "gallery").mkdir(exist_ok=True)
    for _, *words in commands:
        subprocess.run(
            [sys.executable, "-m", "styletransfer", *words, "--force"],
            cwd=ROOT,
            env={**os.environ, **variables},
            check=True,
        )


if __name__ == "__main__":
    main()
