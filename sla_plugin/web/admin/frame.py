"""What every page shares: who looks, from which zone and in which theme; the guard at the door; the headers; the words for time."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, session, url_for
from flask_wtf.csrf import CSRFProtect
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from sla_plugin.language import gettext, language, speak
from sla_plugin.permissions import Actor
from sla_plugin.reports.lights import Light
from sla_plugin.reports.queries import NO_BREACHES, BreachSigns, open_breaches
from sla_plugin.services.tenant_settings import read_settings
from sla_plugin.services.time_zones import known_zones
from sla_plugin.store.people import Person
from sla_plugin.web import formats
from sla_plugin.web.access import demand, needed
from sla_plugin.web.cookies import named, read_cookie
from sla_plugin.web.runtime import Runtime
from sla_plugin.web.sessions import actor_of, signed_in

THEMES = ("auto", "light", "dark")
CSP = (
    "default-src 'none'; object-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)
_STATIC = Path(__file__).parent / "static"
csrf = CSRFProtect()


@dataclass(frozen=True)
class Viewer:
    """Who looks at a page, and how."""

    person: Person
    actor: Actor
    session: int
    tenant_name: str
    zone: ZoneInfo
    now: int
    live: bool  # do pages refresh themselves?
    signs: BreachSigns

    @property
    def tenant(self) -> int:
        """The tenant whose data is shown."""
        return self.actor.tenant

    def may(self, permission: str) -> bool:
        """May this person do it? Templates ask before they draw a button."""
        return self.actor.may(permission)


def viewer() -> Viewer:
    """Who looks at the page that is being answered."""
    found: Viewer = g.viewer
    return found


def theme() -> str:
    """The theme this browser chose."""
    chosen = read_cookie("sla_theme", "auto")
    return chosen if chosen in THEMES else "auto"


def zone_of(name: str | None, fallback: str = "UTC") -> ZoneInfo:
    """The zone of that name; the fallback for one that does not exist."""
    return ZoneInfo(name if name in known_zones() else fallback)


def page_blueprint(name: str, runtime: Runtime, *, open_to_all: bool = False) -> Blueprint:
    """A blueprint of pages: forms carry a token, answers the strict headers; unless `open_to_all` somebody is signed in."""
    pages = Blueprint(name, __name__)

    @pages.before_request
    def guard() -> AnyResponse | None:
        """Check the form's token and who is there."""
        csrf.protect()
        if open_to_all:
            return None
        now = runtime.clock()
        found = signed_in(runtime.database, session, now, used="X-Fragment" not in request.headers)
        if found is None:
            return redirect(url_for("signing_in.login", next=request.full_path.rstrip("?") if request.method == "GET" else None))
        person, session_id = found
        with runtime.database.reading(person.tenant_id) as tx:
            decided = read_settings(tx, person.tenant_id)
            signs = open_breaches(tx, person.tenant_id) if actor_of(person).may("alerts.read") else NO_BREACHES
        zone = zone_of(read_cookie("sla_zone"), decided["time_zone"])
        g.viewer = Viewer(person, actor_of(person), session_id, decided["name"], zone, now, decided["live_updates"], signs)
        if person.language:
            speak(person.language)
        if person.one_time and request.endpoint != "me.password":
            return redirect(url_for("me.password"))
        demand(viewer().actor, needed(current_app, request.endpoint or "", request.method))
        return None

    @pages.after_request
    def harden(response: Response) -> Response:
        """The strict headers."""
        return with_headers(response)

    return pages


def with_headers(response: Response) -> Response:
    """A page with the headers that every page has; pages are never kept by caches between."""
    response.headers["Content-Security-Policy"] = CSP
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def render(template: str, **context: Any) -> str:
    """A page for the current viewer."""
    return render_template(template, viewer=viewer(), now=viewer().now, theme=theme(), **context)


def refuse(template: str, errors: Mapping[str, str], **context: Any) -> tuple[str, int]:
    """The same form again with what is wrong (field -> sentence; "" = the whole); nothing typed is lost."""
    return render(template, errors=errors, **context), 422


def page_number(name: str = "after") -> tuple[int, int] | None:
    """The key of keyset paging in the query string: `<sort key>-<id>`; None on the first page."""
    first, _, second = request.args.get(name, "").partition("-")
    return (int(first), int(second)) if first.isdigit() and second.isdigit() else None


def number_arg(name: str) -> int | None:
    """A whole number in the query string, None if it is none."""
    value = request.args.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None


# --- words for templates ---------------------------------------------------------------------------------------------
def when(at: int | None, *, seconds: bool = False) -> Markup:
    """An instant in the viewer's zone as <time>, in full in its title; `–` for none."""
    if at is None:
        return Markup("–")
    looks = viewer()
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        formats.iso(at), formats.instant_title(at, looks.zone), formats.instant(at, looks.now, looks.zone, seconds=seconds)
    )


def since(at: int | None) -> Markup:
    """A past instant as `12 s ago`, older than a week as the instant."""
    if at is None:
        return Markup("–")
    looks = viewer()
    text = formats.ago(at, looks.now)
    if text is None:
        return when(at)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(formats.iso(at), formats.instant_title(at, looks.zone), text)


def spoken(words: Mapping[str, str]) -> dict[str, str]:
    """Stable words of ours with their titles in the language spoken."""
    return {word: gettext(title) for word, title in words.items()}


def spoken_pairs(words: Iterable[str]) -> list[tuple[str, str]]:
    """Stable words of ours with what they are called, for a choice."""
    return [(word, gettext(word)) for word in words]


def light_names(lights: Iterable[Light]) -> str:
    """What some lights are about, in a row; connections have names of their own."""
    return ", ".join(one.name if one.about == "connection" else gettext(one.name) for one in lights)


def breach_signs() -> BreachSigns:
    """The open breaches that title and icon of every page tell of; none where nobody is signed in."""
    return viewer().signs if "viewer" in g else NO_BREACHES


def at_work() -> bool:
    """Is this a page of the group Work, whose title begins with the number of breaches?"""
    return request.blueprint in ("overview", "tickets", "alerts")


def keys_on() -> bool:
    """May single letters act in this browser? One can turn them off (WCAG 2.1.4)."""
    return read_cookie("sla_keys") != "off"


@cache
def asset(name: str) -> str:
    """The digest of one of our static files: part of its address, so that browsers may keep it for ever."""
    return _digest(_STATIC / name)


def bootstrap_asset(name: str) -> str:
    """The same of a file of Bootstrap's."""
    return _digest(Path(str(current_app.blueprints["bootstrap"].static_folder)) / name)


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def template_words() -> dict[str, Callable[..., Any]]:
    """Functions and formats that templates use."""
    return {
        "when": when,
        "since": since,
        "asset": asset,
        "bootstrap_asset": bootstrap_asset,
        "breach_signs": breach_signs,
        "at_work": at_work,
        "keys_on": keys_on,
        "cookie": named,
        "rate": formats.rate,
        "rate_word": formats.rate_word,
        "time_left": formats.time_left,
        "language": language,
        "spoken": spoken,
        "spoken_pairs": spoken_pairs,
        "weekday": formats.weekday,
        "full_day": formats.full_day,
        "light_names": light_names,
    }
