"""Tickets: the list, and one ticket with the reason for every second of its clocks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Blueprint, abort, flash, redirect, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from sla_plugin.engine.durations import DAY, MINUTE
from sla_plugin.engine.evaluate import Clock
from sla_plugin.engine.ledger import Segment, ledger
from sla_plugin.errors import InvalidDefinition
from sla_plugin.language import gettext, marked
from sla_plugin.reports import queries
from sla_plugin.reports.clock_picture import clock_picture
from sla_plugin.reports.command_list import list_commands
from sla_plugin.reports.event_list import LISTING as EVENTS
from sla_plugin.reports.event_list import list_events
from sla_plugin.reports.standing import state_word
from sla_plugin.reports.ticket_list import LISTING, OPEN, clocks_of_tickets, count_tickets, list_tickets, search_tickets, unplaced
from sla_plugin.services.choose_policy import choose_policy
from sla_plugin.services.evaluate_promises import GRACE, complete_until, verdict_of
from sla_plugin.services.extend_deadline import extend_deadline
from sla_plugin.services.read_books import read_books
from sla_plugin.services.record_override import KINDS, Override
from sla_plugin.services.request_escalation import METRIC, request_escalation
from sla_plugin.services.withdraw_extension import withdraw_extension
from sla_plugin.store.alerts import alerts_of
from sla_plugin.store.clocks import corrections_of
from sla_plugin.store.connections import get_connection, list_connections
from sla_plugin.store.deliveries import watermarks
from sla_plugin.store.events import EventRow, read_histories
from sla_plugin.store.ids import new_id
from sla_plugin.store.tenants import is_strict
from sla_plugin.store.tickets import STANDINGS, get_promise, get_ticket
from sla_plugin.web.access import needs
from sla_plugin.web.admin.clock_rows import ALERT_TITLES, METRIC_TITLES, clock_cells
from sla_plugin.web.admin.clock_sentence import clock_sentence
from sla_plugin.web.admin.frame import page_blueprint, render, viewer
from sla_plugin.web.admin.list_view import list_view, list_words, plus
from sla_plugin.web.admin.policy_form import sentence as sentence_of
from sla_plugin.web.formats import instant
from sla_plugin.web.looks import note_look
from sla_plugin.web.runtime import Runtime

TABS = (
    ("", marked("Due next")),
    ("breached", marked("Breached")),
    ("critical", marked("Critical")),
    ("warning", marked("Warning")),
    ("running", marked("Running")),
    ("on_hold", marked("On hold")),
    ("done", marked("Done")),
    ("all", marked("All")),
)
FILTERS = {"connection": marked("Connection"), "priority": marked("Priority"), "assignee": marked("Assignee"), "customer": marked("Customer")}
PRIORITIES = (("P0", marked("P0 critical")), ("P1", marked("P1 high")), ("P2", marked("P2 normal")), ("P3", marked("P3 low")))
_FIELDS = ("reason", "metric", "by", "policy")  # of the form for exceptions
# whose events the list shows
SIDES: Mapping[str, Callable[[EventRow], bool]] = {
    "customer": lambda e: e.actor_role == "customer",
    "agent": lambda e: e.actor_role == "agent" and not e.own,
    "ours": lambda e: bool(e.own) or e.kind in KINDS,
}
_EVENTS = 200  # shown; a longer history says so


def blueprint(runtime: Runtime) -> Blueprint:
    """`/tickets` and `/tickets/<id>`."""
    pages = page_blueprint("tickets", runtime)

    @pages.get("/tickets")
    @needs("tickets.read")
    def listing() -> str:
        """Tickets by their tightest clock, filtered and paged."""
        tenant, now, view = viewer().tenant, viewer().now, list_view(LISTING, "state")
        state = view.kept.get("state", "") if view.kept.get("state", "") in dict(TABS) else ""
        with runtime.database.reading(viewer().tenant) as tx:
            found = search_tickets(tx, tenant, view.text)
            page = list_tickets(tx, tenant, tab=state, filters=view.filters, found=found, sort=view.sort, after=view.after)
            cells = clock_cells(tx, tenant, clocks_of_tickets(tx, tenant, [r.Ticket.id for r in page.rows]), now)
            counts = count_tickets(tx, tenant, filters=view.filters, found=found)
            names = {str(c.id): c.name for c in list_connections(tx, tenant)}
            waits = unplaced(tx, tenant)
        counts[""] = plus(*(counts[standing] for standing in OPEN))
        counts["all"] = plus(*(counts[standing] for standing in STANDINGS))
        return render(
            "tickets.html",
            view=view,
            page=page,
            cells=cells,
            counts=counts,
            names=names,
            state=state,
            tabs=[(key, gettext(title)) for key, title in TABS],
            labels={name: gettext(label) for name, label in FILTERS.items()},
            priorities=[(key, gettext(label)) for key, label in PRIORITIES],
            unplaced=waits,
            **list_words(),
        )

    @pages.get("/tickets/<int(max=9223372036854775807):ticket_id>")
    @needs("tickets.read")
    def show(ticket_id: int) -> str:
        """One ticket: where it stands, and why."""
        return _page(runtime, ticket_id, MultiDict(), {})[0]

    @pages.get("/tickets/<int(max=9223372036854775807):ticket_id>/events")
    @needs("tickets.read")
    def events(ticket_id: int) -> str:
        """Every event of a ticket, a page at a time."""
        view = list_view(EVENTS)
        with runtime.database.reading(viewer().tenant) as tx:
            ticket = get_ticket(tx, viewer().tenant, ticket_id)
            if ticket is None:
                abort(404, gettext("There is no such ticket here."))
            page = list_events(tx, viewer().tenant, ticket.promise_id, filters=view.filters, sort=view.sort, after=view.after)
        return render("ticket_events.html", view=view, page=page, ticket=ticket, **list_words())

    @pages.post("/tickets/<int(max=9223372036854775807):ticket_id>/escalate")
    @needs("tickets.escalate")
    def escalate(ticket_id: int) -> Response | tuple[str, int]:
        """Ask to escalate, with a reason."""
        try:
            with runtime.database.transaction(viewer().tenant) as tx:
                ticket = get_ticket(tx, viewer().tenant, ticket_id)
                if ticket is None:
                    abort(404, gettext("There is no such ticket here."))
                request_escalation(tx, viewer().tenant, ticket, request.form.get("reason", ""), viewer().now, viewer().actor)
        except InvalidDefinition as problem:
            return _page(runtime, ticket_id, request.form, {"reason": sentence_of(problem.problem)})
        flash(gettext("The agents are alerted."))
        return redirect(url_for("tickets.show", ticket_id=ticket_id))

    def decide(ticket_id: int, service: Callable[..., Override], said: str, **asked: Any) -> Response | tuple[str, int]:
        """Commit what somebody decided by hand; what cannot be is said beside its field, and nothing typed is lost."""
        try:
            with runtime.database.transaction(viewer().tenant) as tx:
                ticket = get_ticket(tx, viewer().tenant, ticket_id)
                if ticket is None:
                    abort(404, gettext("There is no such ticket here."))
                reason = request.form.get("reason", "")
                done = service(tx, viewer().tenant, ticket, **asked, reason=reason, now=viewer().now, actor=viewer().actor.name, outside=runtime.outside)
        except InvalidDefinition as problem:
            return _page(runtime, ticket_id, request.form, {problem.field if problem.field in _FIELDS else "": sentence_of(problem.problem)})
        refused = gettext("Strict mode: no exceptions. Nothing has changed; the attempt is on record.")
        flash(refused if done.refused else said, "warning" if done.refused else "message")
        return redirect(url_for("tickets.show", ticket_id=ticket_id))

    @pages.post("/tickets/<int(max=9223372036854775807):ticket_id>/extend")
    @needs("tickets.override")
    def extend(ticket_id: int) -> Response | tuple[str, int]:
        """Extend the deadline of one clock."""
        form = request.form
        once = form.get("once", "")[:40]
        return decide(ticket_id, extend_deadline, gettext("Extended."), metric=form.get("metric", ""), by=form.get("by", "").strip(), once=once)

    @pages.post("/tickets/<int(max=9223372036854775807):ticket_id>/withdraw")
    @needs("tickets.override")
    def withdraw(ticket_id: int) -> Response | tuple[str, int]:
        """Take an extension back."""
        return decide(ticket_id, withdraw_extension, gettext("Taken back."), extension=request.form.get("extension", ""))

    @pages.post("/tickets/<int(max=9223372036854775807):ticket_id>/choose-policy")
    @needs("tickets.override")
    def choose(ticket_id: int) -> Response | tuple[str, int]:
        """Choose the policy, or leave it to the conditions."""
        return decide(ticket_id, choose_policy, gettext("Chosen."), policy=request.form.get("policy") or None)

    return pages


def _page(runtime: Runtime, ticket_id: int, form: MultiDict[str, str], errors: Mapping[str, str]) -> tuple[str, int]:
    """The page of one ticket; with `errors` the form that somebody sent again, as 422."""
    tenant, now = viewer().tenant, viewer().now
    with runtime.database.reading(viewer().tenant) as tx:
        ticket = get_ticket(tx, tenant, ticket_id)
        promise = get_promise(tx, tenant, ticket.promise_id) if ticket is not None else None
        connection = get_connection(tx, tenant, ticket.connection_id) if ticket is not None else None
        if ticket is None or promise is None or connection is None:
            abort(404, gettext("There is no such ticket here."))
        rows = read_histories(tx, tenant, [promise.id]).get(promise.id, [])
        as_of = complete_until(promise, rows, now, watermarks(tx, now - GRACE))
        verdict = verdict_of(promise, rows, read_books(tx, tenant), runtime.outside.words(connection), connection, as_of, runtime.outside.settle)
        events = queries.events_of(tx, tenant, promise.id)
        commands = list_commands(tx, tenant, promise=promise.id, limit=100).rows
        corrections = corrections_of(tx, tenant, promise.id)
        alerts = alerts_of(tx, tenant, promise.id)
        strict = is_strict(tx, tenant)
    note_look("ticket", ticket_id)
    by_key = {e.event_key: e for e in events}
    blocks = [_block(clock, events, as_of) for clock in sorted(verdict.clocks, key=_urgency)]
    side = request.args.get("events", "")
    listed = [e for e in events if side not in SIDES or SIDES[side](e)]
    soon = any(b["clock"].deadline_at is not None and 0 <= b["clock"].deadline_at - now < 10 * MINUTE for b in blocks if b["open"])
    choice = (promise.choice or {}).get("reasons") or (verdict.book.why(verdict.state) if verdict.book is not None else [])
    requests = [a for a in alerts if a.metric == METRIC]
    text = render(
        "ticket.html",
        ticket=ticket,
        connection=connection,
        promise=promise,
        blocks=blocks,
        events=listed[:_EVENTS],
        hidden=max(len(listed) - _EVENTS, 0),
        asked=[e for e in events if e.kind == "escalation.requested"],
        by_key=by_key,
        commands=commands,
        corrections=corrections,
        alerts=alerts,
        choice=choice,
        metrics=ALERT_TITLES,
        as_of=as_of,
        poll=3 if soon else 30,
        form=form,
        errors=errors,
        strict=strict,
        requests=requests,
        waits=any(a.acknowledged_at is None for a in requests),
        may_decide=viewer().may("tickets.override") and not promise.history,
        by_hand=[e for e in events if e.kind in KINDS],
        once=new_id(),
        hand_kinds=KINDS,
        open_metrics=[(b["clock"].metric, b["title"]) for b in blocks if b["open"]],
        policy_choices=[(name, name) for name in sorted(t.policy.name for t in verdict.book.terms)] if verdict.book is not None else [],
        chosen=verdict.state.get("policy"),
    )
    return text, 422 if errors else 200


def _urgency(clock: Clock) -> tuple[int, int]:
    """Open clocks first, the tightest first; then the finished ones, the latest first."""
    if clock.phase in ("running", "on_hold", "pending"):
        return 0, clock.deadline_at or 2**62
    return 1, -(clock.stopped_at or clock.finished_at or clock.started_at)


def state_of(clock: Clock) -> str:
    """The state of an evaluated clock in the words of `standing`."""
    return state_word(clock.phase, breached=clock.breached_at is not None, critical="critical" in clock.passed, warned="warning" in clock.passed)


def _block(clock: Clock, events: Any, now: int) -> dict[str, Any]:
    zone = viewer().zone
    segments = ledger(clock)
    title = gettext(METRIC_TITLES.get(clock.metric, clock.metric))
    open_ = clock.phase in ("running", "on_hold", "pending")
    scale = request.args.get("scale", "")
    terms = clock.terms
    said = clock_sentence(clock, title, segments)
    picture = clock_picture(
        clock,
        segments,
        now=now,
        ident=f"{clock.metric}-{clock.cycle}",
        title=gettext("%(metric)s clock", metric=title),
        sentence=said,
        say=lambda at: instant(at, now, zone),
        events=[e.occurred_at for e in events],
        scale=scale,
        first=_first_shown(segments, now if open_ else None),
    )
    return {
        "clock": clock,
        "title": title,
        "state": state_of(clock),
        "open": open_,
        "sentence": said,
        "segments": segments,
        "scale": scale,
        "not_counted": sum(s.until - s.since for s in segments if not s.counted),
        "sums": sum(s.counted for s in segments) == clock.elapsed,
        "left": None if clock.target is None else clock.target - clock.elapsed,
        "picture": picture,
        "calendar": "24x7" if terms is None or terms.calendar_id is None else terms.policy.hours,
    }


def _first_shown(segments: Sequence[Segment], now: int | None) -> int | None:
    """From when the picture begins: `view` asks for the last 24 hours, or for what came since the last pause; None for the whole clock."""
    if request.args.get("view") == "24h" and segments:
        return (segments[-1].until if now is None else now) - DAY
    if request.args.get("view") == "open":
        return next((s.until for s in reversed(segments) if s.state in ("on_hold", "stopped") and s is not segments[-1]), None)
    return None
