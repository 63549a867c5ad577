"""Where the page is served, to whom, and how large the pictures may be that it takes: `ServeOptions`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import OptionError
from .checks import check_integer, check_kind, option, parse_bytes

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Options of the page and its HTTP API.

    None means: `token` is generated where the page can be reached from other machines, and not needed else;
    `allowed_hosts` are none beside addresses and this machine's own names.

    Raises:
        OptionError: A value is of the wrong type or out of its range.
    """

    host: str = option(
        "127.0.0.1",
        "Address at which the page can be reached. With any but 127.0.0.1, localhost and ::1 other machines "
        "reach it too, and every request needs the token.",
    )
    port: int = option(8000, "Port of the page; 0 takes a free one.")
    token: str | None = option(
        None, "Secret that every request has to carry. Without this option, one is generated if it is needed."
    )
    allowed_hosts: tuple[str, ...] | None = option(
        None, "Further names by which browsers reach the page, such as that of a reverse proxy."
    )
    max_upload: str = option("50M", "Largest picture file that is accepted, such as 200M.")
    max_megapixels: int = option(
        100, "Most megapixels that a picture and a result may have, 1000000 pixels each."
    )

    def __post_init__(self) -> None:
        check_kind("host", self.host, (str,), "give an address such as 127.0.0.1 or 0.0.0.0")
        check_integer("port", self.port, 0, 65_535)
        check_integer("max_megapixels", self.max_megapixels, 1, 10_000)
        check_kind("max_upload", self.max_upload, (str,), "write '50M' or '1G'")
        parse_bytes(self.max_upload)
        if self.token is not None:
            check_kind("token", self.token, (str,), "give a text")
            if not re.fullmatch(r"[\w.~-]{16,}", self.token, re.ASCII):  # goes into a URL and a header
                raise OptionError(
                    "the token is too short or has other characters than letters, digits and -._~",
                    hint="give at least 16 of them, or leave it out",
                )
        for name in self.allowed_hosts or ():
            check_kind("allowed_hosts", name, (str,), "give names such as pictures.example")

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the page."""
        return self.host in LOCAL_HOSTS
