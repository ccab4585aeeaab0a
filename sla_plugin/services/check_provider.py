"""Whether a sign-in service works: asked when its settings are saved, every day from then on, and sooner while it does not."""

from collections.abc import Mapping

from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, marked
from sla_plugin.services.ask_provider import offer_address, read_offer
from sla_plugin.services.kept_documents import Unanswered
from sla_plugin.services.outside import Outside
from sla_plugin.services.read_tokens import ALGORITHMS, usable_keys
from sla_plugin.services.sign_in_settings import bearer_rules
from sla_plugin.store.db import Transaction
from sla_plugin.store.identities import note_check, overdue_provider, provider_check, take_provider

WELL, ILL = 24 * 3600 * 1_000_000, 600 * 1_000_000  # microseconds between two checks of a service that is well, and of one that is not
SAID = marked("The service was asked, and this is wrong: %(problem)s.")
SILENT = marked("The service cannot be asked: %(problem)s.")


def ask_issuer(issuer: str, outside: Outside, now: int) -> str | None:
    """What is wrong with a service as it is now, in words for an operator; None: it can be signed in through."""
    try:
        offer = read_offer(outside.kept.ask(outside.http, offer_address(issuer), now), issuer)
        keys = outside.kept.ask(outside.http, offer.keys, now)
    except Unanswered as problem:
        return str(problem)
    except InvalidDefinition as problem:
        return problem.problem
    return None if usable_keys(keys, ALGORITHMS) else "it publishes no key that we could prove a signature with"


def prove_sign_in(outside: Outside, before: Mapping[str, str], after: Mapping[str, str], now: int) -> dict[str, str]:
    """Ask a service that is new or turned on: field -> sentence. One that was in use before is not asked: its settings can be saved while it is down."""
    if after["sign_in_on"] != "yes" or (before["sign_in_on"], before["sign_in_issuer"]) == ("yes", after["sign_in_issuer"]):
        return {}
    problem = ask_issuer(after["sign_in_issuer"], outside, now)
    return {} if problem is None else {"sign_in_issuer": gettext(SAID, problem=problem)}


def prove_jwt(outside: Outside, before: Mapping[str, str], after: Mapping[str, str], now: int) -> dict[str, str]:
    """Ask for the keys where their address or the algorithm is new: field -> sentence."""
    names = ("jwt_issuer", "jwt_keys", "jwt_algorithm")
    if not after["jwt_issuer"] or [before[name] for name in names] == [after[name] for name in names]:
        return {}
    try:
        keys = outside.kept.ask(outside.http, after["jwt_keys"], now)
    except Unanswered as problem:
        return {"jwt_keys": gettext(SILENT, problem=str(problem))}
    rules = bearer_rules(after)
    if rules is None or usable_keys(keys, rules.algorithms):
        return {}
    missing = f"it publishes no key for {rules.algorithm}"
    return {"jwt_keys": gettext(SAID, problem=missing)}


# --- from day to day -------------------------------------------------------------------------------------------------
def is_overdue(tx: Transaction, now: int) -> bool:
    """Is there a service to be asked?"""
    return overdue_provider(tx, now - WELL, now - ILL) is not None


def claim_provider(tx: Transaction, now: int) -> int | None:
    """A tenant whose service is to be asked; it is this caller's to do so (claiming moves `checked_at`)."""
    tenant = overdue_provider(tx, now - WELL, now - ILL)
    check = provider_check(tx, tenant) if tenant is not None else None
    return tenant if tenant is not None and check is not None and take_provider(tx, tenant, check.checked_at, now) else None


def note_provider(tx: Transaction, tenant: int, problem: str | None, now: int) -> None:
    """Keep how the service was, unless none is in use any more."""
    if provider_check(tx, tenant) is not None:
        note_check(tx, tenant, problem, now)
