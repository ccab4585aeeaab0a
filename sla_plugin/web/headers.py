"""The headers that keep a browser from harm, on every answer whoever gives it: pages, the API, the door, static files, redirects, errors.

Outermost, below no framework: an answer that names a header itself (pages have a content policy of their own) keeps what it says.
"""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# for what is no page: a browser that is shown it all the same runs nothing, loads nothing, frames nothing
NOTHING = "default-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HSTS = "max-age=31536000; includeSubDomains"  # a year
ALWAYS = (
    ("Content-Security-Policy", NOTHING),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


class Headers:
    """WSGI: `inner` with the headers that it left out; HSTS where people come by https."""

    def __init__(self, inner: "WSGIApplication", *, https: bool) -> None:
        self._inner = inner
        self._added = (*ALWAYS, ("Strict-Transport-Security", HSTS)) if https else ALWAYS

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """One request."""

        def start(
            status: str,
            headers: list[tuple[str, str]],
            exc_info: tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None] | None = None,
        ) -> Callable[[bytes], object]:
            named = {name.lower() for name, _ in headers}
            headers = [*headers, *(row for row in self._added if row[0].lower() not in named)]
            return start_response(status, headers, exc_info) if exc_info is not None else start_response(status, headers)

        return self._inner(environ, start)
