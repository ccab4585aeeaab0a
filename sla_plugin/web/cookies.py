"""Our cookies: where people come by https a browser takes them from this host and by https alone (`__Host-`)."""

from flask import current_app, request
from werkzeug.wrappers import Response

_YEAR = 365 * 86400  # seconds


def cookie_name(name: str, *, https: bool) -> str:
    """What a cookie is called: `__Host-` also keeps neighbours in the same domain from setting it."""
    return f"__Host-{name}" if https else name


def named(name: str) -> str:
    """What a cookie of this app is called."""
    return cookie_name(name, https=_https())


def read_cookie(name: str, default: str = "") -> str:
    """What this browser keeps under a name."""
    return request.cookies.get(named(name), default)


def keep_cookie(answer: Response, name: str, value: str, seconds: int = _YEAR, *, hidden: bool = True) -> None:
    """Let the browser keep a value; `hidden` from scripts of ours, too."""
    answer.set_cookie(named(name), value, max_age=seconds, httponly=hidden, samesite="Lax", secure=_https(), path="/")


def drop_cookie(answer: Response, name: str) -> None:
    """Let the browser forget it."""
    answer.delete_cookie(named(name), path="/", secure=_https(), httponly=True, samesite="Lax")


def _https() -> bool:
    return bool(current_app.config["SESSION_COOKIE_SECURE"])
