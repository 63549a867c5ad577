"""The manifest of a shard: a file of JSON lines beside it that says what became of its members."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...cluster.remote_path import RemotePath
from ...errors import ImageError
from ...files import write_atomically
from ..console import Console
from ..job_planning import StylizeJob

SUFFIX = ".manifest.jsonl"
MOST_LISTED = 100  # failed pictures at the end of a run


class FailedMember(NamedTuple):
    """A picture of which there is no result.

    Attributes:
        member: Its name in the archive.
        error: Why, in one line.
    """

    member: str
    error: str


class ShardManifest(NamedTuple):
    """What became of the members of a shard.

    Attributes:
        facts: Names of the archives, and how many results, copied members and failures there are.
        settings: The settings of the results, as the results record them.
        failures: The pictures that failed.
    """

    facts: Mapping[str, Any]
    settings: Mapping[str, str]
    failures: Sequence[FailedMember]

    def write(self, shard: Path) -> None:
        """Write the manifest of a shard: a line for the shard, then one for every failure.

        Raises:
            StyleTransferError: It cannot be written.
        """
        rows = [{**self.facts, "settings": self.settings}, *(each._asdict() for each in self.failures)]
        data = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
        path = name_manifest(shard)
        if isinstance(path, RemotePath):
            path.write_bytes(data)
        else:
            write_atomically(path, data)


class FailureList:
    """The failed pictures of a run, for its end; the first are kept and all are counted."""

    def __init__(self) -> None:
        self.count = 0
        self._archives: set[Path | None] = set()
        self._lines: list[str] = []

    def add(self, job: StylizeJob, failures: Iterable[FailedMember]) -> None:
        """Add the failed pictures of an archive."""
        for failure in failures:
            self.count += 1
            self._archives.add(job.output)
            if len(self._lines) < MOST_LISTED:
                self._lines.append(failure.error)

    def print(self, console: Console) -> None:
        """List what failed."""
        for line in self._lines:
            console.error(line)
        if self.count:
            more = f", {MOST_LISTED} of them listed" if self.count > MOST_LISTED else ""
            pictures = "1 picture" if self.count == 1 else f"{self.count} pictures"
            archives = "1 archive" if len(self._archives) == 1 else f"{len(self._archives)} archives"
            console.error(
                f"{pictures} in {archives} failed{more}; *{SUFFIX} names them, and an archive that is "
                "deleted is made again"
            )


def name_manifest(shard: Path) -> Path:
    """Return the path of the manifest of a shard: photos-0007.manifest.jsonl beside photos-0007.tar."""
    return shard.with_name(shard.name.removesuffix(".tar") + SUFFIX)


def read_manifest(shard: Path) -> ShardManifest | None:
    """Read the manifest of a shard; None if it has none, because it was made by other means."""
    try:
        first, *rest = (json.loads(line) for line in name_manifest(shard).read_bytes().splitlines())
        settings = first.pop("settings")
        return ShardManifest(first, settings, [FailedMember(**row) for row in rest])
    except (OSError, ImageError, ValueError, TypeError, KeyError):
        return None
