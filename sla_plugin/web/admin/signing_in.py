"""Signing in and out."""

from flask import Blueprint, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from sla_plugin.web.admin.frame import Runtime, page_blueprint, theme, zone_of
from sla_plugin.web.formats import instant
from sla_plugin.web.sessions import Refused, begin, sign_in


def blueprint(runtime: Runtime) -> Blueprint:
    """`/login`, `/logout`."""
    pages = page_blueprint("signing_in", runtime, open_to_all=True)

    @pages.route("/login", methods=["GET", "POST"])
    def login() -> str | Response | tuple[str, int]:
        """Sign in with e-mail and password."""
        errors: dict[str, str] = {}
        if request.method == "POST":
            now = runtime.clock()
            found = sign_in(runtime.database, request.form.get("email", ""), request.form.get("password", ""), now)
            if not isinstance(found, Refused):
                begin(session, found)
                session.permanent = True
                return redirect(_within(request.form.get("next", "")))
            if found.locked_until is not None:
                zone = zone_of(request.cookies.get("sla_zone"))
                errors["email"] = f"Too many failed sign-ins: locked until {instant(found.locked_until, now, zone)} ({zone.key})."
            else:
                errors["email"] = "E-mail and password do not fit together. Check both; after ten failures the account locks for 15 minutes."
        status = 422 if errors else 200
        return render_template("login.html", errors=errors, form=request.form, next=_within(request.values.get("next", "")), theme=theme()), status

    @pages.post("/logout")
    def logout() -> Response:
        """End the session."""
        session.clear()
        return redirect(url_for("signing_in.login"))

    return pages


def _within(path: str) -> str:
    """A path of ours to go on to; anything that leads elsewhere becomes the first page."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and "\n" not in path and "\r" not in path else url_for("me.home")
