"""Who may use the server: hosts, origins and the token are checked before anything else.

A page of another site can send requests to this machine, and by DNS rebinding even read the answers. Both
need a request that names another host or origin. Servers that other machines reach need the token, too.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect

from .errors import RequestError, respond_to_error

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
SAFE_METHODS = {"GET", "HEAD"}
SAME_SITE = {None, "same-origin", "none"}


class AccessControl:
    """An ASGI application in front of another one, which refuses what must not reach it.

    Every response carries the security headers, and every error becomes JSON here.

    Args:
        application: What answers the requests that pass.
        names: Names of this server, as browsers use them.
        accept_addresses: Whether any IP address is a name of it, too. Rebinding needs a name.
        token: What requests have to carry in `Authorization: Bearer`; None if they need not.
        open_paths: Paths that need no token: the files of the page, which hold no data.
        report: Receives errors that nobody expected.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        names: Collection[str],
        accept_addresses: bool,
        token: str | None,
        open_paths: Collection[str],
        report: Callable[[BaseException], None],
    ) -> None:
        self._application = application
        self._names = {name.lower() for name in names}
        self._accept_addresses = accept_addresses
        self._token = token
        self._open_paths = open_paths
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        started = False

        async def send_protected(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check(scope["method"], scope["path"], Headers(scope=scope))
            await self._application(scope, receive, send_protected)
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:  # the server ends and does not wait any longer
            if not started:
                await respond_to_error(RequestError(503, "the server ends"))(scope, receive, send_protected)
        except RequestError as error:
            await respond_to_error(error)(scope, receive, send_protected)
        except Exception as error:
            self._report(error)
            if not started:
                await respond_to_error(error)(scope, receive, send_protected)

    def _check(self, method: str, path: str, headers: Headers) -> None:
        """Raise RequestError unless a request may pass."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own_name(hosts[0]):
            raise RequestError(400, "this server has another name", hint="see --allowed-hosts")
        if method not in SAFE_METHODS:
            origin = headers.get("origin")
            if origin is not None and not is_same_origin(origin, hosts[0]):
                raise RequestError(403, "requests of other sites are refused")
            if headers.get("sec-fetch-site") not in SAME_SITE:
                raise RequestError(403, "requests of other sites are refused")
        if self._token is not None and path not in self._open_paths:
            given = headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
                raise RequestError(401, "the token is missing or wrong", hint="open the address with #token=")

    def _is_own_name(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        return self._accept_addresses and is_address(name)


def is_same_origin(origin: str, host: str) -> bool:
    """Tell whether an Origin header names the site that a Host header names."""
    scheme, separator, rest = origin.partition("://")
    return separator == "://" and scheme in {"http", "https"} and rest.lower() == host.lower()


def is_address(name: str) -> bool:
    """Tell whether a host is given by its IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
