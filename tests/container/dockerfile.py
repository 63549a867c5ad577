"""The instructions of the Dockerfile, and the files that it may copy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Instruction(NamedTuple):
    """An instruction such as RUN with what follows it on the line."""

    name: str
    rest: str


def read_instructions() -> list[Instruction]:
    """Return the instructions of all stages; comments are left out, continued lines are joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def is_sent(path: Path) -> bool:
    """Whether .dockerignore lets a file of the repository into the build; the last pattern decides."""
    relative = path.relative_to(ROOT)
    names = [each.as_posix() for each in (relative, *relative.parents) if each.name]
    sent = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#") and any(_compile(line).fullmatch(name) for name in names):
            sent = line.startswith("!")
    return sent


def _compile(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*)", pattern.removeprefix("!"))
    meanings = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile("".join(meanings.get(part) or re.escape(part) for part in parts))
