"""Who may ask: this machine alone, or whoever holds the token; under our own names; from our own pages.

A page of another site can make a browser call this server, under its own name (DNS answers change) or under ours.
So the Host header must be one that we are called by, an Origin must be ours, and a browser that says that another site
sent it is refused. Answers forbid everything that the pages do not need.
"""

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that is bound to ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Guard:
    """``names``: hosts that the server is called by, in small letters, without ports; ``token``: None asks for none."""

    names: frozenset[str]
    token: str | None = None
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @classmethod
    def of(cls, host: str, names: list[str], token: bool) -> "Guard":
        """For a server bound to ``host``, also called by ``names``; beyond loopback it always has a token."""
        known = {"localhost", "127.0.0.1", "[::1]", host, *names}
        if not is_loopback(host):
            known |= {socket.gethostname(), socket.getfqdn()}
            token = True
        known = {name.lower() for name in known} - {"", "0.0.0.0", "::", "[::]"}
        return cls(frozenset(known), secrets.token_urlsafe(24) if token else None)

    def refusal(self, request: web.Request) -> tuple[int, str] | None:
        """Status and reason, or None for what may go on; the token is not looked at here."""
        host = request.headers.get("Host", "")
        if _name(host) not in self.names | _reached(request):
            return 421, "this server is not called by that name: use the address that it printed"
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            return 403, "a page of another site may not ask here"
        if request.method not in ("GET", "HEAD") and origin is None:
            return 403, "a change is accepted from our own pages alone"
        sent = request.headers.get("Sec-Fetch-Site", "none")
        opened = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.path == "/" and request.method == "GET"
        if sent not in ("none", "same-origin") and not (opened and set(request.query) <= {"token"}):
            return 403, "a page of another site may not ask here: type the address, or open the start page"
        return None

    def knows(self, request: web.Request) -> bool:
        """Whether the request holds the cookie that the token was exchanged for, or needs none."""
        return self.token is None or _same(request.cookies.get(_cookie(request), ""), self.session)

    def exchange(self, request: web.Request) -> web.Response | None:
        """For an address with the right token: a cookie, and the same address without it; None for any other."""
        if self.token is None or not _same(request.query.get("token", ""), self.token):
            return None
        answer = web.Response(status=303, headers={"Location": request.path})
        answer.set_cookie(_cookie(request), self.session, httponly=True, samesite="Strict", path="/")
        return answer


def middleware(guard: Guard) -> Callable[[web.Request, _Handler], Awaitable[web.StreamResponse]]:
    """Refuses what may not be, and gives every answer its headers."""

    @web.middleware
    async def guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if (refused := guard.refusal(request)) is not None:
            answer: web.StreamResponse = web.Response(status=refused[0], text=f"{refused[1]}\n")
        elif "token" in request.query and (exchanged := guard.exchange(request)) is not None:
            answer = exchanged
        elif not guard.knows(request):
            text = "open the whole address that `deepshard browse` printed, with its token\n"
            answer = web.Response(status=401, text=text)
        else:
            try:
                answer = await handler(request)
            except web.HTTPException as error:
                answer = web.Response(status=error.status, text=f"{error.reason}\n")
        answer.headers.update(HEADERS)
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    return guarded


def _cookie(request: web.Request) -> str:
    return f"deepshard-{_bound(request)[1]}"  # browsers share cookies between ports


def _name(host: str) -> str:
    """A Host header's name, in small letters. Its port may be that of a tunnel, and is not ours to judge."""
    return host.lower() if host.endswith("]") else re.sub(r":\d*$", "", host.lower())


def _bound(request: web.Request) -> tuple[str, int]:
    transport = request.transport
    bound = transport.get_extra_info("sockname") if transport is not None else None
    return (str(bound[0]), int(bound[1])) if bound else ("", 0)


def _reached(request: web.Request) -> frozenset[str]:
    """The address itself that the request came in by: a number cannot be rebound by a name server."""
    address = _bound(request)[0]
    return frozenset({f"[{address}]" if ":" in address else address}) if address else frozenset()


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(), known.encode())
