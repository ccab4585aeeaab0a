"""What a tenant may decide for itself: one table that drives the Settings page, the API and the check of what is typed.

A new setting is a row here and a reader somewhere; its section of the page shows it by itself.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sla_plugin.language import LANGUAGES, marked
from sla_plugin.services.check_provider import prove_jwt, prove_sign_in
from sla_plugin.services.mail_rows import MAIL_ROWS, keep_mail, mail_agrees
from sla_plugin.services.outside import Outside
from sla_plugin.services.retention_settings import RETENTION_ROWS
from sla_plugin.services.session_settings import SESSION_ROWS
from sla_plugin.services.setting_kinds import Disagree, TenantSetting, Unfit, one_of, yes_or_no
from sla_plugin.services.sign_in_settings import JWT_ROWS, SIGN_IN_ROWS, jwt_agrees, keep_jwt, keep_sign_in, sign_in_agrees
from sla_plugin.services.time_zones import known_zones
from sla_plugin.store.audit import append_audit
from sla_plugin.store.db import Transaction
from sla_plugin.store.sealing import Sealer
from sla_plugin.store.tenant_settings import store_settings, stored_settings
from sla_plugin.store.tenants import Tenant, change_tenant, get_tenant, lock_books

WEEKDAYS = {"mon": marked("Monday"), "sat": marked("Saturday"), "sun": marked("Sunday")}
SECTIONS = {
    "tenant": marked("Tenant"),
    "mail": marked("Mail"),
    "sign_in": marked("Signing in"),
    "sessions": marked("Sessions"),
    "jwt": marked("JWTs"),
    "retention": marked("Retention"),
}  # key of the page -> its heading, in the order of the page
_OF_TENANT = ("name", "time_zone")  # kept in the tenant's own row


def _name(typed: str) -> str:
    if not 0 < len(typed) <= 200:
        raise Unfit(marked("Give the tenant a name of at most 200 characters."))
    if any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in typed):  # it stands in headers of mails
        raise Unfit(marked("Use one line without control characters, and not a very long one."))
    return typed


def _zone(typed: str) -> str:
    if typed not in known_zones():
        raise Unfit(marked("This is no time zone we know; write one such as Europe/Berlin."))
    return typed


TENANT_SETTINGS = (
    TenantSetting("name", "tenant", marked("Name"), marked("How this tenant is called on pages and in mails."), "", _name),
    TenantSetting(
        "time_zone",
        "tenant",
        marked("Time zone"),
        marked("Of reports and mails, and of pages where a browser says nothing. Calendars have their own."),
        "UTC",
        _zone,
    ),
    TenantSetting(
        "language", "tenant", marked("Language"), marked("Of mails to people who have not chosen one."), "en", one_of(LANGUAGES), "choice", LANGUAGES
    ),
    TenantSetting("week_start", "tenant", marked("Week begins on"), marked("In calendars and reports."), "mon", one_of(WEEKDAYS), "choice", WEEKDAYS),
    TenantSetting("live_updates", "tenant", marked("Live updates"), marked("Pages refresh their figures by themselves."), "yes", yes_or_no, "switch"),
    TenantSetting("setup_list", "tenant", marked("Setup list"), marked("Shown on the Overview until everything in it is done."), "yes", yes_or_no, "switch"),
    *MAIL_ROWS,
    *SIGN_IN_ROWS,
    *SESSION_ROWS,
    *JWT_ROWS,
    *RETENTION_ROWS,
)
ROWS: Mapping[str, TenantSetting] = {row.name: row for row in TENANT_SETTINGS}


@dataclass(frozen=True, slots=True)
class Bond:
    """What a section needs beyond its fields. Texts are every setting as one would type it; errors are field -> sentence.

    agree   what does not fit together in (tx, tenant, texts before, texts after)
    prove   what the outside says of (outside, texts before, texts after, now); in no transaction
    keep    what else is to be written with (tx, tenant, texts, now); may raise IntegrityError for what another tenant has
    taken   the error where it does
    """

    agree: Callable[[Transaction, int, Mapping[str, str], Mapping[str, str]], dict[str, str]]
    prove: Callable[[Outside, Mapping[str, str], Mapping[str, str], int], dict[str, str]]
    keep: Callable[[Transaction, int, Mapping[str, str], int], None]
    taken: Mapping[str, str]


def _nobody_to_ask(outside: Outside, before: Mapping[str, str], after: Mapping[str, str], now: int) -> dict[str, str]:
    return {}


BONDS: Mapping[str, Bond] = {
    "mail": Bond(mail_agrees, _nobody_to_ask, keep_mail, {}),  # the outbox worker proves them right after the commit
    "sign_in": Bond(sign_in_agrees, prove_sign_in, keep_sign_in, {}),
    "jwt": Bond(
        jwt_agrees, prove_jwt, keep_jwt, {"jwt_audience": marked("This issuer and audience cannot be used in this installation; choose another audience.")}
    ),
}


def _texts(tenant: Tenant, stored: Mapping[str, str]) -> dict[str, str]:
    """Every setting as one would type it; secrets as they are stored."""
    texts = {row.name: stored.get(row.name, row.default) for row in TENANT_SETTINGS}
    return {**texts, "name": tenant.name, "time_zone": tenant.time_zone}


def read_settings(tx: Transaction, tenant: int, section: str | None = None) -> dict[str, Any]:
    """The value of every setting by name, or of those of a section; of a secret its sealed form ("" for none)."""
    texts = typed_settings(tx, tenant)
    wanted = [row for row in TENANT_SETTINGS if section in (None, row.section)]
    return {row.name: texts[row.name] if row.kind == "secret" else row.parse(texts[row.name]) for row in wanted}


def typed_settings(tx: Transaction, tenant: int) -> dict[str, str]:
    """Every setting as one would type it, for a form; of a secret its sealed form ("" for none)."""
    return _texts(get_tenant(tx, tenant), stored_settings(tx, tenant))


def check_settings(typed: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with typed settings: name -> sentence. An unknown name is wrong, too."""
    errors = {}
    for name, text in typed.items():
        try:
            if name not in ROWS:
                raise Unfit(marked("There is no such setting."))
            ROWS[name].parse(text.strip())
        except Unfit as problem:
            errors[name] = str(problem)
    return errors


def change_problems(tx: Transaction, tenant: int, section: str, typed: Mapping[str, str]) -> dict[str, str]:
    """What in a section, changed so, would not fit together: name -> sentence. `typed` has passed `check_settings`."""
    bond, before = BONDS.get(section), typed_settings(tx, tenant)
    return bond.agree(tx, tenant, before, changed_texts(before, typed)) if bond is not None else {}


def outside_problems(outside: Outside, section: str, before: Mapping[str, str], typed: Mapping[str, str], now: int) -> dict[str, str]:
    """What the outside says of a section, changed so: name -> sentence. Asks over HTTP, so outside of any transaction; `before` is `typed_settings`."""
    bond = BONDS.get(section)
    return bond.prove(outside, before, changed_texts(before, typed), now) if bond is not None else {}


def changed_texts(before: Mapping[str, str], typed: Mapping[str, str]) -> dict[str, str]:
    """Every setting as one would type it, after a change; of a secret only whether there is one."""
    texts = dict(before)
    for name, told in typed.items():
        text = told.strip()
        if ROWS[name].kind != "secret":
            texts[name] = text
        elif text:
            texts[name] = "" if text == "-" else text
    return texts


def changes_of(typed: Mapping[str, str], seen: Mapping[str, str]) -> dict[str, str]:
    """What somebody changed in a form that showed `seen` (a secret is never shown: what is typed for one is a change)."""
    return {name: text for name, text in typed.items() if name not in seen or _plain(text) != _plain(seen[name])}


def overtaken(texts: Mapping[str, str], typed: Mapping[str, str], seen: Mapping[str, str]) -> dict[str, str]:
    """Settings that somebody else changed after they were `seen`, to something else than what is typed: name -> sentence."""
    said = marked("Somebody else changed this after you opened the form. What you typed is kept; save again to put it in place of theirs.")
    return {name: said for name, text in typed.items() if name in seen and _plain(texts[name]) not in (_plain(seen[name]), _plain(text))}


def _plain(text: str) -> str:
    return "\n".join(text.strip().splitlines())  # forms send lines with CR


def change_settings(
    tx: Transaction, tenant: int, typed: Mapping[str, str], now: int, actor: str, sealer: Sealer, seen: Mapping[str, str] | None = None
) -> list[str]:
    """Change the settings that are typed, the others stay; returns the names of those that are different now.

    An empty secret stays as it is, `-` clears it. With `seen` what somebody else changed since is not overwritten. `typed` has passed `check_settings`; raises
    Unfit where it has not, Disagree where the settings as they would be then cannot be together or were changed since `seen`, IntegrityError for what another
    tenant has.
    """
    lock_books(tx, tenant)  # who changes settings at the same time, on a page or by the API, is done now, or waits for us
    row = get_tenant(tx, tenant)
    stored = stored_settings(tx, tenant)
    texts = _texts(row, stored)
    if late := overtaken(texts, typed, seen or {}):
        raise Disagree(late)
    keep: dict[str, str | None] = {}
    of_tenant: dict[str, str] = {}
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for name, told in typed.items():
        setting, text = ROWS[name], told.strip()
        if setting.kind == "secret":
            if text:
                setting.parse("" if text == "-" else text)
                keep[name] = None if text == "-" else sealer.seal(text)
                before[name], after[name] = ("set" if stored.get(name) else "none"), ("none" if text == "-" else "set anew")
            continue
        setting.parse(text)
        if text == texts[name]:
            continue
        before[name], after[name] = texts[name], text
        if name in _OF_TENANT:
            of_tenant[name] = text
        else:
            keep[name] = None if text == setting.default else text
    if not after:
        return []
    bonds = [bond for section, bond in BONDS.items() if section in {ROWS[name].section for name in after}]
    would_be = changed_texts(texts, typed)
    errors = {name: said for bond in bonds for name, said in bond.agree(tx, tenant, texts, would_be).items()}
    if errors:
        raise Disagree(errors)
    if of_tenant:
        change_tenant(tx, tenant, **of_tenant)
    store_settings(tx, tenant, keep)
    for bond in bonds:
        bond.keep(tx, tenant, would_be, now)
    append_audit(tx, tenant, now, actor, "settings changed", {"before": before, "after": after})
    return list(after)
