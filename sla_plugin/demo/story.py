"""What a visitor sees: four tickets on a Zendesk simulator, told in plain lines as it happens."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from connectors.zendesk.simulator import ZendeskSimulator
from sla_plugin.demo.check import POLICY, writes_of
from sla_plugin.demo.product import Product

_LOOK = 0.1  # seconds between two looks at what the simulator got
_DID = {"raise": "priority raised to {priority}", "comment": "internal comment added", "assignment": "assigned to user {assignee_id}"}


class Story:
    """The simulator, the product, and what was told already. `say` gets one line at a time."""

    def __init__(self, zendesk: ZendeskSimulator, product: Product, say: Callable[[str], None]) -> None:
        self.zendesk, self.product = zendesk, product
        self.tickets: dict[str, str] = {}  # ours to the helpdesk's id
        self._print = say
        self._began = time.monotonic()
        self._writes = 0
        self._alerts: set[tuple[str, str, str]] = set()

    def say(self, text: str) -> None:
        """A line with the seconds since the beginning."""
        self._print(f"{time.monotonic() - self._began:5.1f} s  {text}")

    def create(self, name: str, subject: str, priority: str) -> None:
        """A customer writes in."""
        ticket = self.tickets[name] = self.zendesk.create_ticket(subject, priority)
        self.say(f"{name}: a customer creates ticket {ticket} ({priority}): {subject}")

    def answer(self, name: str) -> None:
        """An agent answers."""
        self.zendesk.add_comment(self.tickets[name], "We look into it.", by="agent")
        self.say(f"{name}: an agent answers")

    def status(self, name: str, status: str, meaning: str) -> None:
        """An agent sets the status."""
        self.zendesk.set_status(self.tickets[name], status)
        self.say(f"{name}: an agent sets it to {status}{meaning}")

    def reply(self, name: str) -> None:
        """The customer replies; Zendesk opens a pending ticket by itself."""
        self.zendesk.add_comment(self.tickets[name], "Here are the details.", by="customer")
        self.say(f"{name}: the customer replies, so the resolution clock goes on")

    def alerts(self) -> None:
        """Say which warnings and breaches the product has announced since."""
        names = {ticket: name for name, ticket in self.tickets.items()}
        for row in self.product.command("export", "alerts", "--json"):
            key = (row["ticket"], row["metric"], row["level"])
            if key not in self._alerts:
                self._alerts.add(key)
                self.say(
                    f"   {names.get(row['ticket'], row['ticket'])}: {row['level']} of {row['metric'].replace('_', ' ')}, due at {row['due_at'][11:19]} UTC"
                )

    def wait_until(self, second: float) -> None:
        """Wait for a second of the story; say what arrives at the helpdesk meanwhile."""
        while True:
            self._tell_writes()
            left = self._began + second - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _LOOK))

    def _tell_writes(self) -> None:
        new = list(self.zendesk.writes)[self._writes :]
        self._writes += len(new)
        names = {ticket: name for name, ticket in self.tickets.items()}
        for row in new:
            name = names.get(row["ticket"], f"ticket {row['ticket']}")
            if not row["applied"]:
                self.say(f"-> {name}: Zendesk refused an update with {row['status']}: {row['reason']}")
                continue
            members = row["body"]["ticket"]
            self.say(f"-> {name}: Zendesk got one update: {', '.join(_did(self.zendesk, row))}")
            for line in members.get("comment", {}).get("body", "").splitlines():
                self._print(f"             | {line}")


def _did(zendesk: ZendeskSimulator, update: dict[str, Any]) -> list[str]:
    did = [_DID[what].format_map(update["body"]["ticket"]) for what, row in writes_of(zendesk, update["ticket"]) if row is update]
    return did + ([f"status set to {update['body']['ticket']['status']}"] if "status" in update["body"]["ticket"] else [])


# (second, what happens); the seconds follow from the targets in policy.yaml
STORY: tuple[tuple[float, Callable[[Story], None]], ...] = (
    (0.0, lambda s: s.create("A", "The printer is on fire", "high")),
    (1.0, lambda s: s.create("B", "Where is my invoice?", "normal")),
    (2.0, lambda s: s.create("C", "The VPN drops every hour", "normal")),
    (5.0, lambda s: s.answer("B")),
    (6.0, lambda s: s.alerts()),
    (7.0, lambda s: s.answer("C")),
    (7.5, lambda s: s.status("C", "pending", ": it waits for the customer, so its resolution clock is on hold")),
    (9.5, lambda s: s.alerts()),
    (12.0, lambda s: s.status("B", "solved", ": both promises are kept")),
    (14.0, lambda s: s.answer("A")),
    (17.0, lambda s: s.status("A", "solved", ": too late for the first response, in time for the resolution")),
    (19.5, lambda s: s.reply("C")),
    (35.0, lambda s: s.alerts()),
    (51.0, lambda s: s.alerts()),
)


def play(folder: Path, mode: str, say: Callable[[str], None], stay: bool = True) -> None:
    """Start everything, play the story, and (with `stay`) keep running until interrupted or until the product ends by itself."""
    say("Starting the product and a Zendesk simulator (some seconds) ...")
    with ZendeskSimulator() as zendesk, Product(folder) as product:
        told = product.connect(zendesk.url, zendesk.email, zendesk.token, mode)
        zendesk.sender.url, zendesk.sender.secret = told["webhook_url"], told["secret"]
        product.command("policy", "apply", str(POLICY))
        for line in product.greeting:
            say(line)
        say(f"The helpdesk beside it, to click in: {zendesk.url}/")
        say(f"The policy in force: {POLICY}. Connection: {mode}.")
        say("")
        story = Story(zendesk, product, say)
        for second, happens in STORY:
            story.wait_until(second)
            happens(story)
        story.wait_until(STORY[-1][0] + 1)
        _sum_up(product, story, say)
        if stay:
            while not product.ended():
                story.wait_until(0)
                time.sleep(_LOOK)


def _sum_up(product: Product, story: Story, say: Callable[[str], None]) -> None:
    pages = {row["ticket"]: f"{product.url}/tickets/{row['id']}" for row in product.command("export", "tickets", "--json", "--ids")}
    say("")
    say("Why it breached, to the second:")
    say(f"  A, nobody answered in time     {pages[story.tickets['A']]}")
    say(f"  C, not solved in time          {pages[story.tickets['C']]}")
    say(f"The same as text: SLA_DATA_DIR={product.folder} .venv/bin/sla-plugin explain {story.tickets['C']}")
    say(f"Make tickets of your own: {story.zendesk.url}/    What the parts said: {product.log}")
    say("Ctrl-C ends all of it.")
