"""Policies: who is promised what; terms: a version of a policy with its calendar; books: all that was in force since an instant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sla_plugin.engine.business_time import BusinessTime
from sla_plugin.engine.conditions import Condition
from sla_plugin.engine.creation_time import TimeFact, time_facts
from sla_plugin.engine.metrics.definitions import METRICS, Metric, MetricOptions
from sla_plugin.engine.policy_definitions import ALWAYS_OPEN, POLICY_FIELDS, Target, priority_word, read_policy, warnings_of

__all__ = ["ALWAYS_OPEN", "POLICY_FIELDS", "Book", "Policy", "Target", "Terms", "priority_word"]

# Facts about a ticket that name its policy, in the order in which they are asked: by hand, by its contract, by its plan.
NAMED_BY = {"policy": "set by hand", "contract_policy": "the contract's policy", "plan_policy": "the plan's policy"}
_BARE: Mapping[str, Metric] = {name: make(MetricOptions()) for name, make in METRICS.items()}


@dataclass(frozen=True)
class Policy:
    """A policy. `targets`: metric -> our priority word (or "*") -> Target. Validated at construction; a policy that exists can work.

    The definition, with its defaults:

    name, description, active [true], default [false], position [100]
    calendar       the name of one [24x7], or {cover: [ours, theirs]}: time counts while both are open (`beside` is theirs)
    applies_to     a condition over POLICY_FIELDS (among them when the ticket was created) and custom.<id> [every ticket]
    targets        metric: 8h, or {P1: 4h, "*": {target: 2d, counts: calendar}}
    warning        percent of the target [80]; critical [95]
    pause_in       statuses in which resolution and pausable update are on hold [waiting_customer]
    resolution     starts: creation [default] or assignment; stops: resolved [default] or closed
    on_change      what a new version, another policy or another priority does to a running clock: keep (the elapsed time) [default],
                   restart (from nothing), from_now (the new target counts from the change)
    metrics        metric: options that say otherwise for it: pause_in, starts, stops, reopens (never, continue, new_cycle), internal_notes, bots,
                   agent_created [all false], warning, critical; or a metric of your own: title, start, stop, pause, reopen, cancel (conditions), reopens
    tiers          [{name: L1, groups: [...], response: 15m, ownership: 4h}, ...]: clocks of each tier beside the customer's [none]
    on_breach      actions in order
    """

    name: str
    description: str
    active: bool
    default: bool
    position: int
    applies_to: Condition
    calendar: str
    targets: Mapping[str, Mapping[str, Target]]
    warning: int
    critical: int
    on_change: Literal["keep", "restart", "from_now"]
    on_breach: tuple[str, ...] | None
    metrics: Mapping[str, Metric]
    beside: str | None = None
    times: frozenset[TimeFact] = frozenset()  # what applies_to asks of the creation's time

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any], where: str) -> "Policy":
        """A policy from the form that policy files and stored versions share; raises InvalidDefinition naming the field."""
        return cls(**read_policy(definition, where))

    @property
    def hours(self) -> str:
        """The calendars in words: `Support`, or `Support and Acme` where both must be open."""
        return self.calendar if self.beside is None else f"{self.calendar} and {self.beside}"

    def target(self, metric: str, priority: str) -> Target | None:
        """The promise for a metric and one of our priority words; None if there is none."""
        by_priority = self.targets.get(metric)
        if by_priority is None:
            return None
        return by_priority.get(priority) or by_priority.get("*")

    def promise(self) -> str:
        """The targets in one line, e.g. `first response 15 m to 24 h, resolution 8 h`."""
        parts = []
        for metric, (least, most) in self.spans().items():
            span = least.text + (f" to {most.text}" if most.amount != least.amount else "")
            parts.append(f"{metric.replace('_', ' ')} {span}")
        return ", ".join(parts)

    def spans(self) -> dict[str, tuple[Target, Target]]:
        """The least and the most that is promised for each metric."""
        return {metric: (min(of.values(), key=_amount), max(of.values(), key=_amount)) for metric, of in self.targets.items()}

    def warnings(self) -> list[str]:
        """What works but is hardly meant, in sentences."""
        return warnings_of(self.name, self.applies_to, self.targets, self.metrics)


def _amount(target: Target) -> int:
    return target.amount


@dataclass(frozen=True, eq=False)
class Terms:
    """A policy version in force, with its compiled calendar: what a clock runs under. The same terms are the same object.

    `beside_id`, `beside_version`: the calendar that must be open beside ours, if the policy names one.
    """

    policy_id: int
    policy_version: int
    policy: Policy
    calendar_id: int | None
    calendar_version: int | None
    business_time: BusinessTime
    beside_id: int | None = None
    beside_version: int | None = None

    @property
    def key(self) -> tuple[int | None, ...]:
        """The versions: policy, calendar, the calendar beside it; stored rows name the first two."""
        return self.policy_id, self.policy_version, self.calendar_id, self.calendar_version, self.beside_id, self.beside_version


@dataclass(frozen=True)
class Book:
    """All policies of a tenant as they stood from `since` on (microseconds UTC), in the order in which they are tried; the default comes last."""

    revision: int
    since: int
    terms: tuple[Terms, ...]
    fields: frozenset[str]  # ticket fields that decide the choice
    metrics: Mapping[str, Metric] = field(compare=False)  # every metric that any policy promises, as it runs where nobody promises it
    calendars: Mapping[str, BusinessTime] = field(default_factory=dict, compare=False)  # those that conditions name
    quiet: bool = field(default=False, compare=False)  # what its coming into force makes past is recorded and not announced

    @classmethod
    def of(cls, revision: int, since: int, terms: Sequence[Terms], calendars: Mapping[str, BusinessTime] | None = None, *, quiet: bool = False) -> "Book":
        """A book in matching order: active policies by position and name, defaults last. `calendars`: those that conditions name."""
        ordered = sorted((t for t in terms if t.policy.active), key=lambda t: (t.policy.default, t.policy.position, t.policy.name))
        metrics: dict[str, Metric] = {}
        for t in ordered:
            for name in t.policy.targets:
                metrics.setdefault(name, _BARE.get(name) or t.policy.metrics[name])
        fields = frozenset(NAMED_BY).union(*(t.policy.applies_to.fields for t in ordered))
        return cls(
            revision=revision,
            since=since,
            terms=tuple(ordered),
            fields=fields | {"created_at"} if any(t.policy.times for t in ordered) else fields,
            metrics=metrics,
            calendars=calendars or {},
            quiet=quiet,
        )

    def changed_since(self, before: "Book") -> frozenset[int] | None:
        """The policies whose terms are others than in the book before; None if it may give a ticket another policy than that one did."""
        if [before._choice_of(t) for t in before.terms] != [self._choice_of(t) for t in self.terms]:
            return None
        kept = set(map(id, before.terms))
        return frozenset(t.policy_id for t in self.terms if id(t) not in kept)

    def choose(self, state: Mapping[str, Any]) -> Terms | None:
        """The policy of a ticket in `state`: the one it, its contract or its plan names, else the first that applies."""
        for name in NAMED_BY:
            if state.get(name) and (named := self._named(state[name])) is not None:
                return named
        for terms in self.terms:
            if terms.policy.applies_to.test(self._facts(terms, state) if terms.policy.times else state):
                return terms
        return None

    def why(self, state: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The policies in order with the reason each did or did not match, up to the match."""
        reasons: list[dict[str, Any]] = []
        for name, words in NAMED_BY.items():
            wanted = state.get(name)
            if not wanted:
                continue
            named = self._named(wanted)
            if named is not None:
                return [*reasons, _reason(named, True, words)]
            reasons.append({"policy": str(wanted), "version": None, "matched": False, "because": f"not: {words}, but no active policy has this name"})
        for terms in self.terms:
            facts = self._facts(terms, state)
            matched = terms.policy.applies_to.test(facts)
            reasons.append(_reason(terms, matched, terms.policy.applies_to.explain(facts)))
            if matched:
                break
        return reasons

    def _facts(self, terms: Terms, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """The ticket with what the policy asks of its creation's time; nothing of it while nobody told when that was."""
        created_at = state.get("created_at")
        if not isinstance(created_at, int) or not terms.policy.times:
            return state
        return {**state, **time_facts(terms.policy.times, created_at, terms.business_time, self.calendars)}

    def _choice_of(self, terms: Terms) -> tuple[Any, ...]:
        """What decides which tickets get a policy, beside its place: its condition, and the calendars that this reads."""
        policy = terms.policy
        hours = {fact: terms.business_time if fact.calendar is None else self.calendars.get(fact.calendar) for fact in policy.times}
        return policy.name, policy.default, policy.applies_to.definition, hours

    def _named(self, name: Any) -> Terms | None:
        return next((t for t in self.terms if t.policy.name == name), None)


def _reason(terms: Terms, matched: bool, because: str) -> dict[str, Any]:
    return {"policy": terms.policy.name, "version": terms.policy_version, "matched": matched, "because": because}
