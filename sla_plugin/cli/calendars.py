"""Commands about calendars: `calendar` import."""

from datetime import UTC, datetime
from typing import BinaryIO

import click

from sla_plugin.cli.installation import actor, answer, open_installation
from sla_plugin.errors import InvalidDefinition
from sla_plugin.services.apply_policy_file import apply_policy_file, read_stored
from sla_plugin.services.import_holidays import merge_holidays
from sla_plugin.services.read_ical import LARGEST, read_ical
from sla_plugin.settings import Settings


@click.group("calendar")
def calendar_group() -> None:
    """Calendars: when time counts. Their hours are written in policy files (`policy apply`)."""


@calendar_group.command("import")
@click.argument("name")
@click.argument("file", type=click.File("rb"))
@click.option("--years", help="Which years to take, e.g. 2026,2027 [default: this one and the next].")
@click.option("--replace", is_flag=True, help="Drop the calendar's own holidays of these years that FILE does not have.")
@click.option("--dry-run", is_flag=True, help="List what would be taken and what would be refused; store nothing.")
@click.pass_obj
def import_command(settings: Settings, name: str, file: BinaryIO, years: str | None, replace: bool, dry_run: bool) -> None:
    """Take the all-day events of an iCalendar FILE (`-`: standard input) as holidays of calendar NAME: a new version of it.

    Events with a time of day, without a date, cancelled, or repeating other than yearly are refused, each with the reason. At most 1 MB and 2,000 dates.
    """
    content = file.read(LARGEST + 1)
    installation = open_installation(settings)
    now = installation.now()
    wanted = _years(years, now)
    found = read_ical(content, wanted)
    with installation.reading() if dry_run else installation.writing() as tx:
        merged = merge_holidays(read_stored(tx, installation.tenant), name, found.days, wanted, replace=replace)
        change = None if dry_run else apply_policy_file(tx, installation.tenant, merged.file, now, actor())
    answer(
        {
            "calendar": name,
            "version": change.calendars.get(name) if change is not None else None,
            "years": wanted,
            "added": [{"date": day.isoformat(), "weekday": f"{day:%A}", "name": called} for day, called in merged.added.items()],
            "known": len(found.days) - len(merged.added),
            "dropped": [day.isoformat() for day in merged.dropped],
            "refused": [{"event": r.event, "reason": r.reason} for r in found.refused],
            "other_years": found.elsewhere,
        }
    )


def _years(told: str | None, now: int) -> list[int]:
    if told is None:
        this = datetime.fromtimestamp(now // 1_000_000, UTC).year
        return [this, this + 1]
    parts = [part.strip() for part in told.split(",") if part.strip()]
    if not parts or not all(part.isascii() and part.isdigit() and len(part) == 4 for part in parts):
        raise InvalidDefinition("--years", f"{told!r} is no list of years; write e.g. 2026,2027")
    return sorted({int(part) for part in parts})


COMMANDS = (calendar_group,)
