"""Work in parts: `ShardOptions`, which part this process does, and `ArchiveOptions`, pictures in archives."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256

from ..errors import OptionError
from .checks import check_boolean, check_kind, option


@dataclass(frozen=True, kw_only=True)
class ShardOptions:
    """The share of one of several processes that are given the same command.

    Every item belongs to exactly one of the N shards, by the hash of its name. Unlike its number in a list,
    the hash does not change when files are added or results appear while other processes still start.

    Raises:
        OptionError: The text is not I/N with 0 <= I < N.
    """

    shard: str | None = option(
        None,
        "Do only part I of N of the work, with I from 0 to N - 1, such as 3/16. N processes with the same "
        "command then do all of it, and none of it twice.",
    )

    def __post_init__(self) -> None:
        if self.shard is None:
            return
        hint = "write 0/16 for the first of 16 parts and 15/16 for the last"
        check_kind("shard", self.shard, (str,), hint)
        if not re.fullmatch(r"[0-9]{1,9}/[0-9]{1,9}", self.shard):
            raise OptionError(f"shard is {self.shard!r}", hint=hint)
        index, count = map(int, self.shard.split("/"))
        if index >= count:
            bounds = f"the first of {count} parts is 0/{count} and the last {count - 1}/{count}"
            raise OptionError(f"shard is {self.shard!r}", hint=bounds if count else hint)

    def holds(self, *names: str) -> bool:
        """Tell whether an item belongs to this shard.

        Args:
            names: The names of the item, the same on every machine. Names that are no valid Unicode count by
                their bytes.
        """
        if self.shard is None:
            return True
        index, count = map(int, self.shard.split("/"))
        digest = sha256(b"\0".join(map(os.fsencode, names))).digest()
        return int.from_bytes(digest[:8], "big") % count == index


@dataclass(frozen=True, kw_only=True)
class ArchiveOptions:
    """Whether contents and results are in tar archives, which are called shards where there are many.

    Raises:
        OptionError: The value is of the wrong type.
    """

    shards: bool = option(
        False,
        "CONTENT names tar archives of pictures, as in 'photos-{000..099}.tar', and the folder of --output "
        "receives an archive of results from each.",
    )

    def __post_init__(self) -> None:
        check_boolean("shards", self.shards)
