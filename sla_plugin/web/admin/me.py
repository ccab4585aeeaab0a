"""One's own page: theme, zone, password."""

from flask import Blueprint, flash, redirect, request, session, url_for
from werkzeug.wrappers import Response

from sla_plugin.services.passwords import password_fits
from sla_plugin.store.audit import append_audit
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import THEMES, Runtime, page_blueprint, refuse, render, viewer
from sla_plugin.web.admin.frame import zone_of as known_zone
from sla_plugin.web.sessions import begin, change_password, password_problem

_YEAR = 365 * 86400  # seconds


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
        return render("me.html", themes=THEMES, errors={}, form={"zone": request.cookies.get("sla_zone_fixed", "")})

    @pages.post("/me")
    @needs("account.use")
    def save() -> Response | tuple[str, int]:
        """Keep theme and zone in this browser; an empty zone follows the browser's own."""
        name = request.form.get("zone", "").strip()
        if name and known_zone(name).key != name:
            said = f"{name} is not a time zone we know. Write one such as Europe/Berlin, or leave it empty to follow this browser."
            return refuse("me.html", {"zone": said}, themes=THEMES, form=request.form)
        answer = redirect(url_for("me.show"))
        chosen = request.form.get("theme", "auto")
        secure = runtime.settings.public_url.startswith("https://")
        answer.set_cookie("sla_theme", chosen if chosen in THEMES else "auto", max_age=_YEAR, samesite="Lax", secure=secure)
        if name:
            answer.set_cookie("sla_zone", name, max_age=_YEAR, samesite="Lax", secure=secure)
            answer.set_cookie("sla_zone_fixed", name, max_age=_YEAR, samesite="Lax", secure=secure)
        else:
            answer.delete_cookie("sla_zone")
            answer.delete_cookie("sla_zone_fixed")
        flash("Saved for this browser.")
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
            errors["current"] = "This is not your present password."
        problem = password_problem(typed, again, person)
        if problem:
            errors["again" if typed != again else "password"] = problem
        if errors:
            return refuse("password.html", errors)
        fresh = change_password(runtime.database, person, typed)
        if fresh is not None:
            begin(session, fresh)
            session.permanent = True
        with runtime.database.transaction(viewer().tenant) as tx:
            append_audit(tx, person.tenant_id, runtime.clock(), viewer().actor.name, "password changed", {"person": person.email})
        flash("Your password is changed. Other sessions of yours have ended.")
        return redirect(url_for("me.home"))

    return pages
