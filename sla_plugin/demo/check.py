"""One ticket that nobody answers, and the exact count of what the helpdesk then saw: `make demo CHECK=1`."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from connectors.zendesk.simulated_desk import ME
from connectors.zendesk.simulator import ZendeskSimulator
from sla_plugin.demo.product import Product

POLICY = Path(__file__).with_name("policy.yaml")
TARGET = 8.0  # seconds: first response of a high ticket, in policy.yaml
MOST_LATE = 1.0  # seconds
WATCH = 5.0  # seconds after the deadline in which nothing more may come


def check(folder: Path, mode: str, say: Callable[[str], None]) -> list[str]:
    """Play one breach and return what was wrong with it; `say` gets the figures. `mode` is the connection's: anything but live must fail."""
    with ZendeskSimulator() as zendesk, Product(folder) as product:
        told = product.connect(zendesk.url, zendesk.email, zendesk.token, mode)
        zendesk.sender.url, zendesk.sender.secret = told["webhook_url"], told["secret"]
        product.command("policy", "apply", str(POLICY))
        ticket = zendesk.create_ticket("Nobody answers", "high")
        say(f"ticket {ticket} is created; its first response is promised within {TARGET:.0f} s")
        # Zendesk dates a creation to the whole second, and so does the product
        deadline = datetime.fromisoformat(zendesk.ticket(ticket)["created_at"]).timestamp() + TARGET
        time.sleep(max(deadline + WATCH - time.time(), 0))
        problems = list(faults(zendesk, ticket, deadline, say))
        breaches = [row["due_at"] for row in product.command("export", "alerts", "--json", "--ticket", ticket) if row["level"] == "breach"]
        if len(breaches) != 1:
            problems.append(f"{len(breaches)} breaches were announced: {breaches}")
    if left := product.left():
        problems.append(f"processes were left behind: {left}")
    return problems


def writes_of(zendesk: ZendeskSimulator, ticket: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the product's writes did to a ticket: ("raise" | "comment" | "assignment", the row of `writes`)."""
    for row in list(zendesk.writes):
        if row["ticket"] == ticket and row["applied"]:
            for member, what in (("priority", "raise"), ("comment", "comment"), ("assignee_id", "assignment")):
                if member in row["body"]["ticket"]:
                    yield what, row


def faults(zendesk: ZendeskSimulator, ticket: str, deadline: float, say: Callable[[str], None]) -> Iterator[str]:
    """What the helpdesk should have seen of a ticket and did not, or the other way round; `deadline` in seconds since 1970."""
    seen = list(writes_of(zendesk, ticket))
    for what in ("raise", "comment", "assignment"):
        rows = [row for kind, row in seen if kind == what]
        if len(rows) != 1:
            yield f"expected one {what}, the helpdesk saw {len(rows)}"
        for row in rows:
            late = row["at"] - deadline
            say(f"{what}: {late:+.3f} s after the deadline")
            if not 0 <= late <= MOST_LATE:
                yield f"the {what} came {late:+.3f} s after the deadline; 0 to {MOST_LATE:.0f} s are allowed"
    now = zendesk.ticket(ticket)
    if seen and (now["priority"], now["assignee_id"]) != ("urgent", ME):
        yield f"the ticket is {now['priority']} and assigned to {now['assignee_id']}; urgent and {ME} were expected"
    if len({id(row) for _, row in seen}) > 1:
        yield f"they came in {len({id(row) for _, row in seen})} updates instead of one"
    for row in zendesk.writes:
        if not row["applied"]:
            yield f"an update was refused with {row['status']}: {row['reason']}"
