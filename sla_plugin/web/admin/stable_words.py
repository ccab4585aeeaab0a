"""Stable words of ours (statuses, kinds, metrics) as people read them. They are marked here because the code below knows them only as names on disk."""

from collections.abc import Mapping

from sla_plugin.language import gettext, marked

_METRICS = (
    marked("First response"),
    marked("Next response"),
    marked("Periodic update"),
    marked("Pausable update"),
    marked("Resolution"),
    marked("Requester wait"),
    marked("Agent work"),
    marked("Group ownership"),
    marked("Time to assign"),
    marked("Acknowledgement"),
)
_STATUSES = (
    marked("Open"),
    marked("Assigned"),
    marked("In progress"),
    marked("Waiting customer"),
    marked("Waiting internal"),
    marked("Resolved"),
    marked("Closed"),
    marked("Cancelled"),
)
_OPERATORS = (
    marked("is"),
    marked("is not"),
    marked("in"),
    marked("not in"),
    marked("contains"),
    marked("not contains"),
    marked("is set"),
    marked("at least"),
    marked("at most"),
)
_GONE = (marked("Merged"), marked("Deleted"))
_ROLES = (marked("Customer"), marked("Agent"), marked("Admin"), marked("System"))
_CALLS = (marked("Waiting"), marked("Sending"), marked("Done"), marked("Failed"), marked("Superseded"))
_LIGHTS = (
    marked("inbox"),
    marked("time"),
    marked("outbox"),
    marked("deliveries"),
    marked("live"),
    marked("history"),
    marked("retrying"),
    marked("sign-in service"),
)
# what went wrong, where werkzeug has an English name only
TITLES: Mapping[int, str] = {
    400: marked("This request cannot be understood"),
    403: marked("Not allowed"),
    404: marked("Not found"),
    405: marked("Not possible here"),
    413: marked("Too large"),
    429: marked("Too many requests"),
    500: marked("Something went wrong on our side"),
}


def say(word: str) -> str:
    """A stable word as people read it: `first_response` is `First response`."""
    return gettext(word.replace("_", " ").capitalize())
