"""Support tiers inside one policy: each is two metrics, so that a hand-over starts the next tier's clocks while the customer's clocks run on."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sla_plugin.engine.metrics.definitions import Metric, metric_of
from sla_plugin.errors import InvalidDefinition

_KEYS: Final = ("name", "groups", "response", "ownership")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,19}", re.ASCII)


def read_tiers(tiers: Any, where: str) -> dict[str, tuple[Metric, Any]]:
    """The metrics of a policy's tiers, each with its target as the policy's `targets` would have it. Raises InvalidDefinition.

    `tiers`: [{name: L1, groups: [Help desk], response: 15m, ownership: 4h}, ...]; the metrics are `l1_response` and `l1_ownership`.
    """
    if not isinstance(tiers, Sequence) or isinstance(tiers, str):
        raise InvalidDefinition(where, "a list, e.g. [{name: L1, groups: [Help desk], response: 15m, ownership: 4h}]")
    made: dict[str, tuple[Metric, Any]] = {}
    taken: dict[str, str] = {}
    for number, tier in enumerate(tiers):
        place = f"{where}[{number}]"
        if not isinstance(tier, Mapping) or set(tier) - set(_KEYS):
            raise InvalidDefinition(place, f"a tier has {', '.join(_KEYS)}")
        name, groups = str(tier.get("name") or ""), tier.get("groups")
        if not _NAME.fullmatch(name):
            raise InvalidDefinition(f"{place}.name", f"{name!r} is no name for a tier; use letters, digits and _, at most 20")
        if not isinstance(groups, Sequence) or isinstance(groups, str) or not groups:
            raise InvalidDefinition(f"{place}.groups", "name at least one group")
        for group in groups:
            other = taken.setdefault(str(group).casefold(), name)
            if other != name:
                raise InvalidDefinition(f"{place}.groups", f"{group!r} belongs to {other} already")
        if "response" not in tier and "ownership" not in tier:
            raise InvalidDefinition(place, "promise a response or an ownership target")
        for kind, metric in (("response", _response(name, list(groups))), ("ownership", _ownership(name, list(groups)))):
            if metric.name in made:
                raise InvalidDefinition(f"{place}.name", f"{name!r} stands twice")
            if tier.get(kind) is not None:
                made[metric.name] = metric, tier[kind]
    return made


_UNFINISHED: Final = {"field": "status", "not_in": ["resolved", "closed", "cancelled"]}
_OVER: Final = {"field": "status", "in": ["resolved", "closed", "cancelled"]}


def _response(name: str, groups: list[Any]) -> Metric:
    """From the hand-over to a group of the tier until one of its agents writes or is assigned."""
    writes = [{"field": "event", "in": ["reply.public", "note.internal"]}, {"field": "actor_role", "is": "agent"}, {"field": "actor_is_requester", "is": False}]
    assigned = [{"field": "moved", "is": "assignee"}, {"field": "assignee", "is_set": True}]
    return metric_of(
        f"{name.lower()}_response",
        f"{name} response",
        start={"all": [{"field": "moved", "is": "group"}, {"field": "group", "in": groups}, _UNFINISHED]},
        stop={"any": [{"all": writes}, {"all": assigned}]},
        cancel={"any": [{"field": "group", "not_in": groups}, _OVER]},
        reopens="new_cycle",
        owner="group",
    )


def _ownership(name: str, groups: list[Any]) -> Metric:
    """While a group of the tier holds the ticket, to the hand-over or to resolved."""
    return metric_of(
        f"{name.lower()}_ownership",
        f"{name} ownership",
        start={"all": [{"field": "group", "in": groups}, _UNFINISHED]},
        stop={"any": [{"field": "group", "not_in": groups}, {"field": "status", "in": ["resolved", "closed"]}]},
        reopens="new_cycle",
        owner="group",
    )
