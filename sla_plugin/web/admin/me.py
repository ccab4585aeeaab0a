"""One's own page: language, theme, zone, keys, password."""

from typing import Any

from flask import Blueprint, flash, redirect, request, session, url_for
from werkzeug.wrappers import Response

from sla_plugin.language import LANGUAGES, gettext, ngettext, preferred, speak
from sla_plugin.services.passwords import password_fits
from sla_plugin.services.people import choose_language, sign_out
from sla_plugin.services.session_settings import open_sessions
from sla_plugin.services.sign_in import source_of
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import THEMES, page_blueprint, refuse, render, viewer
from sla_plugin.web.admin.frame import zone_of as known_zone
from sla_plugin.web.cookies import drop_cookie, keep_cookie, read_cookie
from sla_plugin.web.runtime import Runtime
from sla_plugin.web.sessions import change_password, password_problem


def blueprint(runtime: Runtime) -> Blueprint:
    """`/`, `/me`, `/me/password`."""
    pages = page_blueprint("me", runtime)

    @pages.get("/")
    @needs("account.use")
    def home() -> Response:
        """The first page: the Overview, for customers their tickets."""
        return redirect(url_for("overview.show" if viewer().may("overview.read") else "portal.listing"))

    @pages.get("/me")
    @needs("account.use")
    def show() -> str:
        """Theme and zone of this browser."""
        return _page(runtime, {"zone": read_cookie("sla_zone_fixed"), "language": viewer().person.language or ""}, {})

    @pages.post("/me")
    @needs("account.use")
    def save() -> Response | tuple[str, int]:
        """Keep the language with the person, theme, zone and keys in this browser; an empty zone follows the browser's own."""
        name = request.form.get("zone", "").strip()
        if name and known_zone(name).key != name:
            said = gettext("%(name)s is not a time zone we know. Write one such as Europe/Berlin, or leave it empty to follow this browser.", name=name)
            return _page(runtime, request.form, {"zone": said}), 422
        spoken = request.form.get("language", "")
        if spoken not in ("", *LANGUAGES):
            return _page(runtime, request.form, {"language": gettext("Choose one of the list.")}), 422
        if (spoken or None) != viewer().person.language:
            with runtime.database.transaction(viewer().tenant) as tx:
                choose_language(tx, viewer().person, spoken or None, viewer().now, viewer().actor.name)
            speak(spoken or preferred(request.headers.get("Accept-Language")))
        answer = redirect(url_for("me.show"))
        chosen = request.form.get("theme", "auto")
        keep_cookie(answer, "sla_theme", chosen if chosen in THEMES else "auto")
        if spoken:  # for pages that nobody is signed in on
            keep_cookie(answer, "sla_language", spoken)
        else:
            drop_cookie(answer, "sla_language")
        keep_cookie(answer, "sla_keys", "on" if request.form.get("keys") == "on" else "off")
        if name:
            keep_cookie(answer, "sla_zone", name, hidden=False)
            keep_cookie(answer, "sla_zone_fixed", name)
        else:
            drop_cookie(answer, "sla_zone")
            drop_cookie(answer, "sla_zone_fixed")
        flash(gettext("Saved."))
        return answer

    @pages.route("/me/password", methods=["GET", "POST"])
    @needs("account.use")
    def password() -> str | Response | tuple[str, int]:
        """Change the password; a one-time password must be changed before anything else."""
        person = viewer().person
        if request.method == "GET":
            return render("password.html", errors={})
        typed, again = request.form.get("password", ""), request.form.get("again", "")
        errors = {}
        if not password_fits(person.password_hash, request.form.get("current", "")):
            errors["current"] = gettext("This is not your present password.")
        problem = password_problem(typed, again, person, viewer().tenant_name, runtime.settings.common_passwords)
        if problem:
            errors["again" if typed != again else "password"] = problem
        if errors:
            return refuse("password.html", errors)
        change_password(runtime.database, session, person, typed, viewer().now, source_of(request.remote_addr), request.user_agent.string)
        session.permanent = True
        flash(gettext("Your password is changed. Other sessions of yours have ended."))
        return redirect(url_for("me.home"))

    @pages.post("/me/sessions")
    @needs("account.use")
    def sessions() -> Response:
        """End one session of one's own, or all but this one."""
        mine, chosen = viewer().session, request.form.get("session", "")
        with runtime.database.transaction(viewer().tenant) as tx:
            only = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 20 else None
            ended = sign_out(tx, viewer().tenant, viewer().person.id, viewer().now, viewer().actor.name, only=only, but=mine)
        flash(ngettext("%(num)d session ended.", "%(num)d sessions ended.", ended) if ended else gettext("There was none to end."))
        return redirect(url_for("me.show"))

    return pages


def _page(runtime: Runtime, form: Any, errors: dict[str, str]) -> str:
    with runtime.database.reading(viewer().tenant) as tx:
        sessions = open_sessions(tx, viewer().tenant, viewer().person.id, viewer().now)
    return render("me.html", themes=THEMES, languages=list(LANGUAGES.items()), errors=errors, form=form, sessions=sessions)
