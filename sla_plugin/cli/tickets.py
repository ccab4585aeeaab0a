"""Commands about tickets and what came in and went out for them: explain, replay, retry."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from sla_plugin.cli.installation import actor, answer, open_installation
from sla_plugin.engine.durations import clock_text
from sla_plugin.errors import ConfigurationError
from sla_plugin.reports.export_rows import instant_text, written_out
from sla_plugin.reports.trace import chain_of, find_traced
from sla_plugin.services.change_connection import find_connection
from sla_plugin.services.explain_ticket import choose_ticket, explain_ticket
from sla_plugin.services.replay_delivery import replay_deliveries, requeue_deliveries
from sla_plugin.services.retry_commands import retry_commands
from sla_plugin.settings import Settings
from sla_plugin.store.deliveries import deliveries_in

_SECOND = 1_000_000


@click.command("explain")
@click.argument("ticket")
@click.option("--connection", metavar="NAME", help="Whose ticket, where several connections have one of that id.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON, with exact microseconds.")
@click.pass_obj
def explain_command(settings: Settings, ticket: str, connection: str | None, as_json: bool) -> None:
    """Explain TICKET (its id in the helpdesk): every clock with the ledger of what counted, which sums to the elapsed time; why this policy; what we wrote."""
    installation = open_installation(settings)
    with installation.reading() as tx:
        found, owner = choose_ticket(tx, installation.tenant, ticket, connection)
        data = explain_ticket(tx, installation.tenant, found, owner, installation.now(), installation.outside)
    if as_json:
        answer(written_out(data))
    else:
        click.echo("\n".join(explain_lines(data)).replace("\u00a0", " "))


@click.command("trace")
@click.argument("word", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
@click.pass_obj
def trace_command(settings: Settings, word: str, as_json: bool) -> None:
    """Follow ID from the delivery to the call: what it told, and which alerts, commands and calls its tickets had since.

    ID is the `trace` of a log line (or the X-Request-Id that the helpdesk logged), a delivery key, or a call's id or marker.
    """
    installation = open_installation(settings)
    with installation.reading() as tx:
        chains = [chain_of(tx, installation.tenant, delivery) for delivery in find_traced(tx, installation.tenant, word)]
    if not chains:
        raise ConfigurationError(f"nothing is known of {word!r}: give a trace from a log line, a delivery key, or a call's id or marker")
    if as_json:
        answer(written_out(chains))
    else:
        click.echo("\n\n".join("\n".join(chain_lines(chain)) for chain in chains))


def chain_lines(chain: Mapping[str, Any]) -> list[str]:
    """A chain for a terminal, a line per link."""
    delivery = chain["delivery"]
    lines = [
        f"trace {chain['trace']} on {chain['connection']}",
        f"  delivery  {_instant(delivery['received_at'])} {delivery['state']} {delivery['key']}" + (f": {delivery['reason']}" if delivery["reason"] else ""),
    ]
    lines += [f"  event     {_instant(e['occurred_at'])} {e['kind']} #{e['ticket'] or '-'}{' (our own)' if e['own'] else ''}" for e in chain["events"]]
    for ticket in chain["tickets"]:
        name = ticket["ticket"]
        lines += [f"  alert     {_instant(a['raised_at'])} {a['level']} #{name} {a['metric']}, due {_instant(a['due_at'])}" for a in ticket["alerts"]]
        lines += [f"  command   {_instant(c['created_at'])} {c['state']} #{name} {c['kind']}" for c in ticket["commands"]]
        for call in ticket["calls"]:
            lines.append(f"  call      {_instant(call['created_at'])} {call['state']} #{name} {call['marker']}, tries {call['tries']}, trace {call['trace']}")
    return lines


def explain_lines(data: Mapping[str, Any]) -> list[str]:
    """The explanation for a terminal."""
    word = f" ({data['status_word']})" if data["status_word"] else ""
    lines = [f"Ticket {data['ticket']} on {data['connection']}: {data['subject']}".rstrip(": ")]
    lines.append(f"{data['status']}{word}, priority {data['priority']}, {data['events']} events, as of {_instant(data['as_of_at'])}")
    if data["gone"]:
        lines.append(f"The ticket was {data['gone']}: its clocks are cancelled.")
    for clock in data["clocks"]:
        lines += ["", *_clock_lines(clock)]
    if not data["clocks"]:
        lines += ["", "No clock: no policy promises this ticket anything."]
    lines += ["", "Why this policy"]
    lines += [f"  {'->' if c['matched'] else '  '} {c['policy']} version {c['version']}: {c['because']}" for c in data["choice"]] or ["  none is in force"]
    lines += _section("Decided by hand", [_by_hand(d) for d in data["by_hand"]])
    lines += _section("Corrections", [_correction(c) for c in data["corrections"]])
    lines += _section(
        "Alerts", [f"{_instant(a['due_at'])} {a['level']} of {a['metric']} {a['cycle']}, raised {_instant(a['raised_at'])}" for a in data["alerts"]]
    )
    lines += _section("What was to be written", [_command(c) for c in data["commands"]])
    lines += _section("What was sent", [_call(c) for c in data["calls"]])
    return lines


def _calendar(told: Mapping[str, Any]) -> str:
    named = f"{told['name']} version {told['version']}" if told["version"] else str(told["name"])
    return f"{named}, while {_calendar(told['beside'])} is open too" if "beside" in told else named


def _clock_lines(clock: Mapping[str, Any]) -> list[str]:
    lines = [f"{clock['title']}, cycle {clock['cycle']}: {clock['phase']}", clock["sentence"]]
    if clock["policy"] and clock["calendar"]:
        lines.append(f"Policy {clock['policy']['name']} version {clock['policy']['version']}, calendar {_calendar(clock['calendar'])}")
    for name, key in (("Started", "started_at"), ("Stopped", "stopped_at"), ("Finished", "finished_at"), ("Due", "deadline_at"), ("Breached", "breached_at")):
        if clock[key] is not None:
            more = f" (or, by the next opening, {_instant(clock['deadline_next_open_at'])})" if key == "deadline_at" and clock["deadline_next_open_at"] else ""
            lines.append(f"{name:<9}{_instant(clock[key])}{more}")
    rows = [("from", "to", "state", "counted", "total", "cause")]
    for row in clock["ledger"]:
        state = f"{row['state']} ({row['name']})" if row["name"] else row["state"]
        counted = clock_text(row["counted"] * _SECOND) if row["counted_us"] else "-"
        rows.append((_instant(row["from"]), _instant(row["to"]), state, counted, clock_text(row["total"] * _SECOND), row["cause"]))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines += ["  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row[:5], widths, strict=True)), row[5]]) for row in rows]
    lines.append(f"  sums to {clock_text(clock['sum_us'])} ✓")
    return lines


def _section(title: str, rows: Sequence[str]) -> list[str]:
    return ["", title, *(f"  {row}" for row in rows)] if rows else []


def _by_hand(row: Mapping[str, Any]) -> str:
    return f"{_instant(row['decided_at'])} {row['what']} by {row['actor']}: {row['reason']} ({row['event']})"


def _correction(row: Mapping[str, Any]) -> str:
    now = (
        "the cycle never happened"
        if row["now"] is None
        else ", ".join(f"{k} {v}" for k, v in written_out(row["now"]).items() if row["was"].get(k) != row["now"][k])
    )
    return f"{row['metric']} {row['cycle']}, number {row['number']}, {_instant(row['made_at'])}: {now} (late: {', '.join(row['late_events']) or 'not known'})"


def _command(row: Mapping[str, Any]) -> str:
    said = ", ".join(f"{k} {str(v).splitlines()[0] if str(v) else ''}" for k, v in row["payload"].items() if k in ("to", "assignee", "body"))
    return f"{row['kind']} ({said}): {row['state']}" + (f", {row['reason']}" if row["reason"] else "")


def _call(row: Mapping[str, Any]) -> str:
    when = _instant(row["settled_at"]) if row["settled_at"] else "not yet"
    status = f", HTTP {row['status']}" if row["status"] else ""
    return f"{', '.join(row['commands']) or 'nothing'}: {row['state']} {when}, {row['tries']} tries{status}" + (f", {row['reason']}" if row["reason"] else "")


def _instant(at: int) -> str:
    return (instant_text(at) or "").replace("T", " ").replace("Z", "")


@click.command("replay")
@click.argument("deliveries", nargs=-1, metavar="DELIVERY...")
@click.option("--unreadable", is_flag=True, help="All deliveries that could not be read or applied.")
@click.option("--connection", metavar="NAME", help="With --unreadable: only those of this connection.")
@click.pass_obj
def replay_command(settings: Settings, deliveries: Sequence[str], unreadable: bool, connection: str | None) -> None:
    """Put deliveries, named by id or delivery key, back into the inbox. What was applied before changes nothing."""
    if bool(deliveries) == unreadable:
        raise click.UsageError("name deliveries, or say --unreadable")
    if connection is not None and not unreadable:
        raise click.UsageError("--connection goes with --unreadable")
    installation = open_installation(settings)
    tenant, outside = installation.tenant, installation.outside
    with installation.writing() as tx:
        if deliveries:
            replayed = replay_deliveries(tx, tenant, deliveries, installation.now(), actor(), outside)
        else:
            owner = find_connection(tx, tenant, connection).id if connection is not None else None
            waiting = deliveries_in(tx, tenant, ("unreadable", "failed"), owner)
            replayed = requeue_deliveries(tx, tenant, waiting, installation.now(), actor(), outside)
    told = [{"delivery": d.key, "id": str(d.id), "was": d.was, "reason": d.reason} for d in replayed]
    answer({"replayed": len(told), "deliveries": told})


@click.command("retry")
@click.option("--connection", metavar="NAME", help="Only those of this connection.")
@click.option("--ticket", metavar="EXTERNAL", help="Only those of this ticket.")
@click.pass_obj
def retry_command(settings: Settings, connection: str | None, ticket: str | None) -> None:
    """Try failed write-backs again, after what stopped them (a token, a permission) was put right."""
    installation = open_installation(settings)
    tenant = installation.tenant
    with installation.writing() as tx:
        owner = find_connection(tx, tenant, connection).id if connection is not None else None
        commands = retry_commands(tx, tenant, installation.now(), actor(), installation.outside, connection=owner, external=ticket)
    told = [{"ticket": c.ticket, "command": c.kind, "failed_because": c.reason} for c in commands]
    answer({"retried": len(told), "commands": told})


COMMANDS = (explain_command, trace_command, replay_command, retry_command)
