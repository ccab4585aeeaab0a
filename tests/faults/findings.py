"""What a run left behind, in words that two runs of one script share; and what is lost, doubled, stuck or different when they are compared."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sla_plugin.store.audit import chain_digest
from tests.faults.scripts import Stage

CLOCK = ("phase", "open", "started_at", "stopped_at", "finished_at", "target", "deadline_at", "warning_at", "critical_at", "breached_at", "policy_version")
RECORD = (
    "started_at",
    "stopped_at",
    "finished_at",
    "target",
    "elapsed",
    "elapsed_wall",
    "met",
    "overrun",
    "deadline_at",
    "breached_at",
    "policy_version",
    "priority",
)


@dataclass
class Remains:
    """`effects` counts by content what reached the helpdesk through the API; the rest is what our tables say."""

    effects: Counter[tuple[str, str]]
    said: dict[str, dict[tuple[Any, ...], Any]]


def remains_of(stage: Stage) -> Remains:
    """What the run left."""
    plant, names = stage.plant, stage.names
    tickets = {t["promise_id"]: names[t["external_id"]] for t in plant.rows("ticket")}

    def by_cycle(table: str, columns: tuple[str, ...]) -> dict[tuple[Any, ...], Any]:
        return {
            (tickets[r["promise_id"]], r["metric"], r["cycle"]): tuple(r[c] if not isinstance(r[c], bool) else int(r[c]) for c in columns)
            for r in plant.rows(table)
        }

    return Remains(
        effects(stage),
        {
            "clock": by_cycle("clock", CLOCK),
            "record": by_cycle("record", RECORD),
            "verdict": {(names[k[0]], *k[1:]): v for k, v in plant.net().items()},
            "alert": {(tickets[a["promise_id"]], a["metric"], a["cycle"], a["level"]): a["due_at"] for a in plant.rows("alert")},
            "ticket": {(names[t["external_id"]],): (t["status"], t["priority"], t["assignee"], t["gone"]) for t in plant.rows("ticket")},
        },
    )


def effects(stage: Stage) -> Counter[tuple[str, str]]:
    """Every write that landed, by ticket and content: a raise, a status, an assignment, each breach told in a comment (its first two lines mark it)."""
    found: Counter[tuple[str, str]] = Counter()
    for _, number, members in stage.desk.applied:
        name = stage.names[str(number)]
        for member, (before, after) in members.items():
            if member != "comment":
                found[name, f"{member} {before} -> {after}"] += 1
                continue
            lines = after.splitlines()
            for first, second in pairwise(lines):
                if first.startswith("SLA breached: "):
                    found[name, f"comment {first} {second}"] += 1
    return found


@dataclass
class Findings:
    """What is wrong with a run; empty when nothing is."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)  # clocks, records, alerts
    odd: list[str] = field(default_factory=list)  # exceptions that nothing explains, a broken audit chain

    def __bool__(self) -> bool:
        return any((self.lost, self.doubled, self.stuck, self.different, self.odd))


def compare(found: Remains, wanted: Remains) -> Findings:
    """What a run has that the undisturbed one has not, and the other way round."""
    findings = Findings()
    for key, times in sorted((wanted.effects - found.effects).items()):
        findings.lost.append(f"{key[0]}: {key[1]} ({times} of {wanted.effects[key]})")
    for key, times in sorted((found.effects - wanted.effects).items()):
        findings.doubled.append(f"{key[0]}: {key[1]} ({times} more than {wanted.effects[key]})")
    for kind, ours in found.said.items():
        theirs = wanted.said[kind]
        for key in sorted(set(ours) | set(theirs), key=str):
            if ours.get(key) != theirs.get(key):
                findings.different.append(f"{kind} {key}: {ours.get(key)} instead of {theirs.get(key)}")
    return findings


def unfinished(stage: Stage, *, outbox: bool = True) -> list[str]:
    """What still has to move at the plant's `now`: deliveries, due promises, old terms; commands, calls and pauses with `outbox`."""
    plant = stage.plant
    left = [f"webhook {w.invocation[:8]} not taken" for w in stage.desk.webhooks]
    left += [f"delivery {d['state']}, tries {d['tries']}: {d['reason']}" for d in plant.rows("delivery") if d["state"] not in ("applied", "ignored")]
    revision = plant.rows("tenant")[0]["book_revision"]
    for promise in plant.rows("promise"):
        if promise["next_transition_at"] is not None and promise["next_transition_at"] <= plant.now:
            left.append(f"promise due since {plant.now - promise['next_transition_at']} us")
        if promise["open"] and promise["book_revision"] != revision:
            left.append(f"promise at revision {promise['book_revision']}, not {revision}")
    if outbox:
        left += [f"command {c['kind']} is {c['state']}: {c['reason']}" for c in plant.rows("command") if c["state"] not in ("sent", "overtaken")]
        left += [f"call is {c['state']}, tries {c['tries']}: {c['reason']}" for c in plant.rows("call") if c["state"] not in ("sent", "superseded")]
    return left


def broken_chain(stage: Stage) -> list[str]:
    """Where the audit chain does not hold."""
    previous = ""
    for number, entry in enumerate(sorted(stage.plant.rows("audit_entry"), key=lambda e: e["number"]), 1):
        content = hashlib.sha256((entry["salt"] + json.dumps(entry["changes"], sort_keys=True, separators=(",", ":"))).encode()).hexdigest()
        chain = chain_digest(previous, number, entry["at"], entry["actor_digest"] or entry["actor"], entry["what"], content)
        if (entry["number"], entry["previous"], entry["chain"]) != (number, previous, chain):
            return [f"audit entry {entry['number']} does not follow its predecessor"]
        previous = chain
    return []
