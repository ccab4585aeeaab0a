"""Commands about policies: `policy` apply, lint, plan, list, show."""

from typing import Any, TextIO

import click
import yaml

from sla_plugin.cli.installation import actor, answer, open_installation
from sla_plugin.engine.durations import clock_text
from sla_plugin.engine.policies import Policy
from sla_plugin.engine.policy_definitions import read_calendars
from sla_plugin.errors import ConfigurationError
from sla_plugin.reports.export_rows import instant_text
from sla_plugin.services.apply_policy_file import Stored, apply_policy_file, compare, read_policy_file, read_stored
from sla_plugin.services.plan_change import Plan, Standing, plan_change
from sla_plugin.settings import Settings
from sla_plugin.store.policies import policy_versions

_NOTHING = Standing(None, None, "-", None)
_WORDS = {
    "starts": "newly promised",
    "stops": "matching no more",
    "breached": "breached by this",
    "saved": "out of breach by this",
    "alerts": "alerts raised by this",
}


@click.group("policy")
def policy_group() -> None:
    """Policies and calendars as YAML: who is promised what, and when the time counts.

    \b
    calendars:
      Support:
        time_zone: Europe/Berlin
        hours: {mon: ["09:00-17:00"], tue: ["09:00-17:00"], wed: ["22:00-06:00"]}    # or 24x7
        holidays: ["2026-12-25", {date: "2026-01-06", name: Epiphany}]
    policies:
      - name: Gold
        applies_to: {field: tags, contains: gold}        # left out: every ticket
        calendar: Support                                # left out: 24x7
        targets:
          first_response: {P0: 15m, P1: 1h, P2: 4h}      # or one target for all: 1h
          resolution: 8h                                 # 45s, 15m, 8h, 1h30
    """


@policy_group.command("apply")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.pass_obj
def apply_command(settings: Settings, file: TextIO) -> None:
    """Put FILE (`-`: standard input) in force. Everything is checked first; an error names its place in the file and changes nothing.

    What differs from the newest version becomes a new one; what the file does not name stays. To switch a policy off write `active: false`.
    """
    told = read_policy_file(file.read())
    installation = open_installation(settings)
    with installation.writing() as tx:
        change = apply_policy_file(tx, installation.tenant, told, installation.now(), actor())
    answer(change.as_data())


@policy_group.command("lint")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--offline", is_flag=True, help="Check the file alone: calendars must be in it, and all of it counts as new.")
@click.pass_obj
def lint_command(settings: Settings, file: TextIO, offline: bool) -> None:
    """Check FILE and say what `apply` would change; nothing is stored. Exit code 1 if `apply` would refuse it."""
    told = read_policy_file(file.read())
    if offline:
        stored = Stored({}, {})
    else:
        installation = open_installation(settings)
        with installation.reading() as tx:
            stored = read_stored(tx, installation.tenant)
    data = compare(told, stored).as_data()
    data["would_change"] = data.pop("changed")
    del data["revision"]
    answer(data)


@policy_group.command("plan")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
@click.option("--limit", default=20, show_default=True, help="How many rows the table has.")
@click.pass_obj
def plan_command(settings: Settings, file: TextIO, as_json: bool, limit: int) -> None:
    """Say which open clocks FILE would move, worst first, if it were applied now; nothing is stored.

    JSON: {"computed_at", "changed", "promises", "clocks", "counts": {"stays", "earlier", "later", "starts", "stops", "breached", "saved", "alerts"},
    "moves": [{"ticket", "connection", "metric", "cycle", "outcome", "breaches", "now", "then", "moves_us"}], "warnings"}; `now` and `then` hold policy,
    due_at and state.
    """
    told = read_policy_file(file.read())
    installation = open_installation(settings)
    with installation.reading() as tx:
        plan = plan_change(tx, installation.tenant, told, installation.now(), installation.outside)
    if as_json:
        answer(_plan_data(plan))
    else:
        click.echo("\n".join(_plan_lines(plan, limit)))


def _plan_data(plan: Plan) -> dict[str, Any]:
    told = plan.change.as_data()
    return {
        "computed_at": instant_text(plan.computed_at),
        "changed": told["changed"],
        "promises": plan.promises,
        "clocks": plan.clocks,
        "counts": plan.counts,
        "moves": [
            {
                "ticket": m.ticket,
                "connection": m.connection,
                "metric": m.metric,
                "cycle": m.cycle,
                "outcome": m.outcome,
                "breaches": m.breaches,
                "now": _standing_data(m.now),
                "then": _standing_data(m.then),
                "moves_us": m.by,
            }
            for m in plan.moves
        ],
        "warnings": told["warnings"],
    }


def _standing_data(standing: Standing | None) -> dict[str, Any] | None:
    return standing and {"policy": standing.policy, "due_at": instant_text(standing.due_at), "state": standing.state}


def _plan_lines(plan: Plan, limit: int) -> list[str]:
    changed = [
        f"{kind} {name} version {version}"
        for kind, names in (("calendar", plan.change.calendars), ("policy", plan.change.policies))
        for name, version in names.items()
    ]
    lines = [f"Changes {', '.join(changed)}." if changed else "Changes nothing."]
    lines.append(f"Computed {instant_text(plan.computed_at)} from {plan.clocks} open clocks of {plan.promises} tickets. Finished clocks never change.")
    lines.append(", ".join(f"{_WORDS.get(name, name)} {count}" for name, count in plan.counts.items()))
    rows = [("ticket", "clock", "due now", "due then", "moves", "state", "policy")]
    for m in plan.moves[:limit]:
        now, then = m.now or _NOTHING, m.then or _NOTHING
        moves = ("" if m.by is None else f"{'-' if m.by < 0 else '+'}{clock_text(abs(m.by))}") if m.outcome != "stops" else "no promise"
        state, policy = (one if one == other else f"{one} -> {other}" for one, other in ((now.state, then.state), (now.policy or "-", then.policy or "-")))
        rows.append((m.ticket, f"{m.metric} {m.cycle}", instant_text(now.due_at) or "-", instant_text(then.due_at) or "-", moves, state, policy))
    if len(rows) > 1:
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines += ["", *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)]
        if len(plan.moves) > limit:
            lines.append(f"... {limit} of {len(plan.moves)}, worst first; --json has all")
    return lines + [f"warning: {warning}" for warning in plan.change.warnings]


@policy_group.command("list")
@click.pass_obj
def list_command(settings: Settings) -> None:
    """List the policies in force as JSON, in the order in which they are tried."""
    installation = open_installation(settings)
    with installation.reading() as tx:
        newest = dict(policy_versions(tx, installation.tenant))
    rows: list[tuple[Any, dict[str, Any]]] = []
    for name, version in newest.items():
        policy = Policy.from_definition(version.definition, name)
        told = {
            "policy": name,
            "version": version.version,
            "active": policy.active,
            "default": policy.default,
            "position": policy.position,
            "applies_to": policy.applies_to.sentence(),
            "calendar": policy.hours,
            "promises": policy.promise().replace("\u00a0", " "),
            "in_force_since": instant_text(version.effective_at),
            "made_by": version.made_by,
        }
        rows.append(((not policy.active, policy.default, policy.position, name), told))
    answer([told for _, told in sorted(rows, key=lambda row: row[0])])


@policy_group.command("show")
@click.argument("name")
@click.option("--version", type=int, help="An earlier version [default: the newest].")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of YAML.")
@click.pass_obj
def show_command(settings: Settings, name: str, version: int | None, as_json: bool) -> None:
    """Show policy NAME with its calendar, as a file that `apply` takes."""
    installation = open_installation(settings)
    with installation.reading() as tx:
        versions = [v for owner, v in policy_versions(tx, installation.tenant) if owner == name]
        calendars = read_stored(tx, installation.tenant).calendars
    found = next((v for v in reversed(versions) if version is None or v.version == version), None)
    if found is None:
        raise ConfigurationError(f"there is no policy {name!r}" + (f" version {version}" if versions else "") + "; `sla-plugin policy list` shows all")
    named = {n: calendars[n][1] for n in read_calendars(found.definition.get("calendar"), "calendar") if n is not None and n in calendars}
    data: dict[str, Any] = {"calendars": named} if named else {}
    data["policies"] = [found.definition]
    if as_json:
        answer(data)
    else:
        click.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), nl=False)


COMMANDS = (policy_group,)
