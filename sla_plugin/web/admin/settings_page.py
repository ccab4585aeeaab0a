"""What the tenant has decided: one form a section, drawn from services/tenant_settings.py."""

from collections.abc import Mapping

from flask import Blueprint, abort, flash, redirect, request, url_for
from sqlalchemy.exc import IntegrityError
from werkzeug.wrappers import Response

from sla_plugin.language import gettext, marked
from sla_plugin.services.set_strict_mode import set_strict_mode
from sla_plugin.services.tenant_settings import SECTIONS, TENANT_SETTINGS, change_settings, check_settings, typed_settings
from sla_plugin.store.tenants import is_strict
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import page_blueprint, refuse, render, viewer
from sla_plugin.web.runtime import Runtime


def blueprint(runtime: Runtime) -> Blueprint:
    """`/settings`, a form a section; strict mode."""
    pages = page_blueprint("settings", runtime)

    @pages.get("/settings")
    @needs("settings.read")
    def show() -> str:
        """Every section as it is."""
        return render("settings.html", errors={}, **_context(runtime, {}))

    @pages.post("/settings/<section>")
    @needs("settings.write")
    def save(section: str) -> Response | tuple[str, int]:
        """Change a section; what is wrong is said beside its field, and nothing is changed."""
        if section not in SECTIONS:
            abort(404, gettext("There is no such section of the settings."))
        typed = {row.name: request.form.get(row.name, "no" if row.kind == "switch" else "") for row in TENANT_SETTINGS if row.section == section}
        errors = check_settings({name: text for name, text in typed.items() if not (_is_secret(name) and text.strip() in ("", "-"))})
        changed: list[str] = []
        if not errors:
            try:
                with runtime.database.transaction(viewer().tenant) as tx:
                    changed = change_settings(tx, viewer().tenant, typed, viewer().now, viewer().actor.name, runtime.outside.sealer)
            except IntegrityError:
                errors = {"name": marked("Another tenant is called so.")}
        if errors:
            return refuse("settings.html", {name: gettext(said) for name, said in errors.items()}, **_context(runtime, typed))
        flash(gettext("Saved.") if changed else gettext("Nothing was different."))
        return redirect(url_for("settings.show", _anchor=section))

    @pages.post("/settings/strict")
    @needs("settings.write")
    def strict() -> Response | tuple[str, int]:
        """Turn strict mode on or off; turning it on is confirmed by typing the tenant's name."""
        on = request.form.get("strict") == "on"
        if on and request.form.get("confirm", "").strip() != viewer().tenant_name:
            said = gettext("Type the tenant's name, %(name)s, to turn strict mode on.", name=viewer().tenant_name)
            return refuse("settings.html", {"confirm": said}, **_context(runtime, {}))
        with runtime.database.transaction(viewer().tenant) as tx:
            set_strict_mode(tx, viewer().tenant, on, viewer().now, viewer().actor.name)
        flash(gettext("Strict mode is on: nobody overrides a policy or a deadline by hand.") if on else gettext("Strict mode is off."))
        return redirect(url_for("settings.show", _anchor="strict"))

    return pages


def _is_secret(name: str) -> bool:
    return any(row.name == name and row.kind == "secret" for row in TENANT_SETTINGS)


def _context(runtime: Runtime, typed: Mapping[str, str]) -> dict[str, object]:
    with runtime.database.reading(viewer().tenant) as tx:
        texts = typed_settings(tx, viewer().tenant)
        strict = is_strict(tx, viewer().tenant)
    form = {name: text for name, text in {**texts, **typed}.items() if not _is_secret(name)}
    sealed = {name for name, text in texts.items() if text and _is_secret(name)}
    return {"sections": SECTIONS, "rows": TENANT_SETTINGS, "form": form, "strict": strict, "sealed": sealed}
