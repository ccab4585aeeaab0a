"""What the tenant has decided: one form a section, drawn from services/tenant_settings.py."""

import json
import threading
from collections.abc import Mapping, Sequence

from flask import Blueprint, abort, flash, redirect, request, url_for
from sqlalchemy.exc import IntegrityError
from werkzeug.wrappers import Response

from sla_plugin.language import gettext, marked
from sla_plugin.reports.mail_words import Line, explained, lines_of
from sla_plugin.services import prove_mail
from sla_plugin.services.keep_retention import MOST, would_go
from sla_plugin.services.retention_settings import RETENTION
from sla_plugin.services.set_strict_mode import set_strict_mode
from sla_plugin.services.setting_kinds import Disagree
from sla_plugin.services.tenant_settings import (
    BONDS,
    ROWS,
    SECTIONS,
    TENANT_SETTINGS,
    change_problems,
    change_settings,
    changes_of,
    check_settings,
    outside_problems,
    overtaken,
    typed_settings,
)
from sla_plugin.store.db import Transaction
from sla_plugin.store.mails import mail_check
from sla_plugin.store.tenants import is_strict
from sla_plugin.web import formats
from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import page_blueprint, refuse, render, viewer
from sla_plugin.web.admin.provider_sign_in import redirect_uri
from sla_plugin.web.runtime import Runtime


def blueprint(runtime: Runtime) -> Blueprint:
    """`/settings`, a form a section; strict mode."""
    pages = page_blueprint("settings", runtime)
    testing = threading.Semaphore()

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
        seen = _seen(request.form.get("seen", ""))
        wanted = changes_of(typed, seen)  # what was left alone is shown as it is now, not as it was
        if not errors:
            with runtime.database.reading(viewer().tenant) as tx:
                before = typed_settings(tx, viewer().tenant)
                errors = overtaken(before, wanted, seen) or change_problems(tx, viewer().tenant, section, wanted)
            errors = errors or outside_problems(runtime.outside, section, before, wanted, viewer().now)
        if not errors:
            try:
                with runtime.database.transaction(viewer().tenant) as tx:
                    changed = change_settings(tx, viewer().tenant, wanted, viewer().now, viewer().actor.name, runtime.outside.sealer, seen)
                    tx.after_commit(runtime.outside.queue.wake_outbox)  # it proves new mail settings at once
            except Disagree as problem:  # somebody else changed settings meanwhile
                errors = dict(problem.errors)
            except IntegrityError:
                errors = dict(BONDS[section].taken) if section in BONDS else {"name": marked("Another tenant is called so.")}
        if errors:
            return refuse("settings.html", {name: gettext(said) for name, said in errors.items()}, **_context(runtime, wanted))
        flash(gettext("Saved.") if changed else gettext("Nothing was different."))
        return redirect(url_for("settings.show", _anchor=section))

    @pages.post("/settings/mail/test")
    @needs("settings.write")
    def test_mail() -> str | Response | tuple[str, int]:
        """Send a mail to the one who asks, now, and tell every step. One at a time: whoever waits for a server holds a thread."""
        if not testing.acquire(blocking=False):
            return refuse("settings.html", {"": gettext("Another test mail is on its way; try again in a moment.")}, **_context(runtime, {}))
        try:
            tenant, person, now = viewer().tenant, viewer().person, viewer().now
            with runtime.database.reading(tenant) as tx:
                settings, check = prove_mail.settings_to_prove(tx, tenant, runtime.outside), mail_check(tx, tenant)
            tried = prove_mail.send_test(settings, person.email, person.name, person.language, now, runtime.outside)
            with runtime.database.transaction(tenant) as tx:
                seen = check.checked_at if check is not None else None
                prove_mail.note_proof(tx, tenant, tried, seen, runtime.clock(), viewer().actor.name, always=check is not None)
        finally:
            testing.release()
        return render("settings.html", errors={}, **_context(runtime, {}, lines_of(tried)))

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


def _seen(told: str) -> dict[str, str]:
    """The settings as the form showed them; nothing where it does not say (then what is sent is what is wanted)."""
    try:
        seen = json.loads(told or "{}")
    except ValueError:
        return {}
    return {name: text for name, text in seen.items() if name in ROWS and isinstance(text, str)} if isinstance(seen, dict) else {}


def _is_secret(name: str) -> bool:
    return any(row.name == name and row.kind == "secret" for row in TENANT_SETTINGS)


def _context(runtime: Runtime, typed: Mapping[str, str], tried: Sequence[Line] = ()) -> dict[str, object]:
    with runtime.database.reading(viewer().tenant) as tx:
        texts = typed_settings(tx, viewer().tenant)
        strict = is_strict(tx, viewer().tenant)
        check = mail_check(tx, viewer().tenant)
        notes = _notes(runtime, tx)
    why = explained(check.problem, check.status, check.said) if check is not None and check.problem else ""
    mail = {"check": check, "why": why, "tried": tried, "url": runtime.outside.public_url}
    form = {name: text for name, text in {**texts, **typed}.items() if not _is_secret(name)}
    seen = {key: json.dumps({row.name: texts[row.name] for row in TENANT_SETTINGS if row.section == key and row.kind != "secret"}) for key in SECTIONS}
    sealed = {name for name, text in texts.items() if text and _is_secret(name)}
    return {"sections": SECTIONS, "notes": notes, "rows": TENANT_SETTINGS, "form": form, "strict": strict, "sealed": sealed, "mail": mail, "seen": seen}


def _notes(runtime: Runtime, tx: Transaction) -> dict[str, str]:
    """What is worth saying beside a section or a setting as things stand: its name -> sentence."""
    counts = would_go(tx, viewer().tenant, viewer().now, runtime.settings.raw_days)
    login = f"{runtime.settings.public_url}{url_for('signing_in.login', tenant=viewer().tenant)}"
    notes = {
        "sign_in": gettext(
            "Register this product at the service with the redirect address %(back)s. People sign in at %(login)s.",
            back=redirect_uri(runtime.settings.public_url, viewer().tenant),
            login=login,
        ),
    }
    for setting, kind in RETENTION.items():
        if kind in counts:
            number = formats.number(counts[kind]) if counts[kind] < MOST else gettext("%(number)s or more", number=formats.number(MOST))
            notes[setting] = gettext("Older than that now: %(number)s.", number=number)
    notes["keep_bodies"] += " " + gettext("The installation keeps them %(days)d days at most.", days=runtime.settings.raw_days)
    return notes
