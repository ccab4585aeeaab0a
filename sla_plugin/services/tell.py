"""What the log says of deliveries and alerts once they are committed: a line each with the trace, and one line for all in a rush.

The trace is the id of a delivery: of the one a line is about, or of the one we last heard of the ticket when time passed or a call was made.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial

import structlog

from sla_plugin.store.db import Transaction
from sla_plugin.store.deliveries import Outcome
from sla_plugin.store.events import last_deliveries

log = structlog.get_logger()
_speaking = logging.getLogger(__name__)  # asked before anything is gathered for a line that nobody wants
RUSH = 20  # alerts of one transaction from which on each has its line at DEBUG only


def tell_outcomes(tx: Transaction, names: Mapping[int, str], outcomes: Sequence[Outcome]) -> None:
    """What deliveries became; `names` are those of their connections, by delivery."""
    for outcome in outcomes:
        if outcome.state == "unreadable":
            tx.after_commit(partial(log.warning, "delivery unreadable", trace=outcome.delivery, connection=names[outcome.delivery]))
        elif _speaking.isEnabledFor(logging.DEBUG):
            became = outcome.became or {}
            told = {"connection": names[outcome.delivery], "events": became.get("events", 0), "tickets": became.get("tickets", [])}
            tx.after_commit(partial(log.debug, f"delivery {outcome.state}", trace=outcome.delivery, **told))


def tell_alerts(tx: Transaction, tenant: int, alerts: Collection[tuple[int, str, int, str]], tickets: Mapping[int, str]) -> None:
    """Fresh alerts as (promise, metric, cycle, level); `tickets` are external ids by promise."""
    if not alerts:
        return
    if len(alerts) > RUSH:
        levels = Counter(level for *_, level in alerts)
        tx.after_commit(partial(log.info, "alerts raised", tickets=len({promise for promise, *_ in alerts}), **levels))
    each, speak = (logging.INFO, log.info) if len(alerts) <= RUSH else (logging.DEBUG, log.debug)
    if not _speaking.isEnabledFor(each):
        return
    traces = last_deliveries(tx, tenant, {promise for promise, *_ in alerts})
    for promise, metric, cycle, level in sorted(alerts):
        told = {"promise": promise, "ticket": tickets[promise], "metric": metric, "cycle": cycle, "alert": level}  # `level` is the line's own
        tx.after_commit(partial(speak, "alert raised", trace=traces.get(promise), **told))
