"""The time zones there are. Listing them walks the files of the tz database (some 15 ms), so it is done once a process."""

from functools import cache
from zoneinfo import available_timezones


@cache
def known_zones() -> frozenset[str]:
    """The IANA names of every time zone of this machine."""
    return frozenset(available_timezones())
