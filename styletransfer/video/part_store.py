"""Parts of a result, finished one after the other, from which a run that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import Tensor

from ..files import read_tensors, write_atomically, write_tensors

PART_SECONDS = 10.0  # of video; a stopped run computes at most so much again
FILE_VERSION = 1


@dataclass(frozen=True)
class Part:
    """A finished part.

    Attributes:
        pts: Time stamps of its frames, in units of the result's time base.
        durations: How long each is shown, in the same units; 0 if that is unknown.
    """

    pts: tuple[int, ...]
    durations: tuple[int, ...]


class PartStore:
    """The folder beside a result in which its parts are kept until all are there.

    Args:
        output: The file or folder of the result.
        settings: All that the frames depend on; parts of other settings are not used. None keeps nothing
            from one run to the next, because the input is a pipe.
        part_suffix: Extension of the parts' files.
    """

    def __init__(
        self, output: Path, settings: Mapping[str, object] | None, part_suffix: str = ".mkv"
    ) -> None:
        self.folder = find_part_folder(output)
        self._suffix = part_suffix
        self._settings = None if settings is None else json.loads(json.dumps(settings, default=str))
        self.parts: list[Part] = []
        self.outdated: list[str] = []
        self._open()

    def _open(self) -> None:
        """Find the parts that an earlier run has finished, or begin with none."""
        description = self.folder / "run.json"
        if self._settings is not None and description.is_file():
            found = _read_json(description)
            wanted = {"version": FILE_VERSION, "settings": self._settings}
            if found == wanted:
                self._find_parts()
                return
            recorded = found.get("settings")
            before: dict[str, object] = recorded if isinstance(recorded, dict) else {}
            names = {*before, *self._settings}
            self.outdated = sorted(each for each in names if before.get(each) != self._settings.get(each))
        self.discard()
        self.folder.mkdir(parents=True)
        document = json.dumps({"version": FILE_VERSION, "settings": self._settings})
        write_atomically(description, document.encode())

    def _find_parts(self) -> None:
        while (document := self.folder / f"{len(self.parts):06}.json").is_file():
            found = _read_json(document)
            self.parts.append(Part(tuple(found["pts"]), tuple(found["durations"])))

    @property
    def frames(self) -> int:
        """Number of frames in the finished parts."""
        return sum(len(part.pts) for part in self.parts)

    def seconds(self, time_base: Fraction) -> float:
        """Return the length of the finished parts."""
        if not self.parts:
            return 0.0
        last = self.parts[-1]
        return float((last.pts[-1] + last.durations[-1] - self.parts[0].pts[0]) * time_base)

    def path_of(self, number: int) -> Path:
        """Return the file of a part."""
        return self.folder / f"{number:06}{self._suffix}"

    def read_state(self) -> dict[str, Tensor]:
        """Return the state after the last finished part."""
        return read_tensors(self.folder / f"{len(self.parts) - 1:06}.safetensors").tensors

    def add(self, part: Part, state: Mapping[str, Tensor]) -> None:
        """Mark the part that was written last as finished; the state is there first."""
        number = len(self.parts)
        if (path := self.path_of(number)).exists():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        write_tensors(self.folder / f"{number:06}.safetensors", state, {})
        write_atomically(self.folder / f"{number:06}.json", json.dumps(asdict(part)).encode())
        self.parts.append(part)
        if number > 0:  # the state of the last part suffices
            (self.folder / f"{number - 1:06}.safetensors").unlink(missing_ok=True)

    def discard_if_empty(self) -> None:
        """Remove the folder if it holds no finished part."""
        if not self.parts:
            self.discard()

    def discard(self) -> None:
        """Remove the folder with all that is in it."""
        if self.folder.exists():
            shutil.rmtree(self.folder)


def find_part_folder(output: Path) -> Path:
    """Return the folder of the parts of a result, which need not exist."""
    target = Path(os.path.realpath(output))
    key = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]  # a long name stays short enough
    return target.parent / f".styletransfer-{key}.parts"


def _read_json(path: Path) -> dict[str, Any]:
    """Return the contents of a file, or nothing if they are damaged."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
