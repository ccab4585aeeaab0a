"""The clock picture: one clock as an SVG. Geometry is attributes only (x in percent, y in pixels), so that no inline style is needed and text never stretches.

Colours are CSS classes of the page. The picture adds nothing that the ledger below it lacks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from sla_plugin.engine.durations import DAY, HOUR, format_duration
from sla_plugin.engine.evaluate import Clock
from sla_plugin.engine.ledger import Segment
from sla_plugin.language import gettext, marked, units

_CLOSED = ("outside_hours", "holiday")
_WORDS = {
    "running": marked("running"),
    "on_hold": marked("on hold"),
    "outside_hours": marked("outside hours"),
    "holiday": marked("holiday"),
    "stopped": marked("stopped"),
    "gone": marked("merged or deleted"),
    "unpromised": marked("no promise"),
    "over": marked("over target"),
    "coming": marked("still to come, if nothing changes"),
    "coming_closed": marked("outside hours"),
}
_MOST = 200  # segments drawn; the ledger keeps all
_WIDTH = 900  # pixels assumed when deciding whether labels meet
_GRAVITY = {"breach": 5, "met": 5, "due": 4, "now": 3, "critical": 2, "warning": 1}


@dataclass(frozen=True)
class _Piece:
    since: int
    until: int
    kind: str
    title: str
    name: str | None = None


class _Scale:
    """Instants to percent. On the business scale a closed stretch is a narrow break, however long it was."""

    def __init__(self, pieces: Sequence[_Piece], business: bool) -> None:
        self.knots: list[tuple[int, float]] = []
        closed = [p for p in pieces if business and p.kind in (*_CLOSED, "coming_closed")]
        each = min(2.5, 30 / len(closed)) if closed else 0.0
        time = sum(p.until - p.since for p in pieces) - sum(p.until - p.since for p in closed)
        if time <= 0:
            closed, each = [], 0.0
            time = max(sum(p.until - p.since for p in pieces), 1)
        at = 0.0
        for piece in pieces:
            self.knots.append((piece.since, at))
            at += each if piece in closed else (100 - each * len(closed)) * (piece.until - piece.since) / time
        self.knots.append((pieces[-1].until, 100.0))

    def x(self, instant: int) -> float:
        """Percent of an instant, clipped to the picture."""
        before = self.knots[0]
        for knot in self.knots:
            if knot[0] >= instant:
                span = knot[0] - before[0]
                return knot[1] if span <= 0 else before[1] + (knot[1] - before[1]) * max(instant - before[0], 0) / span
            before = knot
        return 100.0


def clock_picture(
    clock: Clock,
    segments: Sequence[Segment],
    *,
    now: int,
    ident: str,
    title: str,
    sentence: str,
    say: Callable[[int], str],
    events: Sequence[int] = (),
    scale: str = "",
    first: int | None = None,
) -> Markup:
    """The figure's SVG. `say` writes an instant for the reader; `scale`: business, wall or "" (whichever shows more); `first`: nothing before it."""
    is_open = clock.phase in ("running", "on_hold", "pending")
    pieces = _pieces(clock, segments, now, is_open, say)
    if first is not None:
        pieces = [_Piece(max(p.since, first), p.until, p.kind, p.title, p.name) for p in pieces if p.until > first]
    if not pieces:
        return Markup("")
    span = max(pieces[-1].until - pieces[0].since, 1)
    closed = sum(p.until - p.since for p in pieces if p.kind in (*_CLOSED, "coming_closed"))
    ruler = _Scale(pieces, business=scale == "business" or (scale != "wall" and closed * 10 >= span * 4))
    marks = _marks(clock, now, is_open, pieces[0].since, pieces[-1].until, say)
    lines = sorted(ruler.x(m.at) for m in marks)
    parts = [_segment(piece, ruler, ident, lines) for piece in pieces]
    parts += [_dots(events, ruler, pieces[0].since, pieces[-1].until)]
    parts += [_axis(pieces, ruler, say, now if is_open else None)]
    parts += _drawn_marks(marks, ruler)
    words = {"ident": ident, "title": title, "sentence": sentence}
    head = Markup(
        '<svg class="clock-picture" role="img" aria-labelledby="t-{ident} d-{ident}" width="100%" height="118" focusable="false">'
        '<title id="t-{ident}">{title}</title><desc id="d-{ident}">{sentence}</desc><defs>'
        '<pattern id="hold-{ident}" class="pattern-hold" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect width="8" height="8" class="ground"/><rect width="3" height="8" class="stripe"/></pattern>'
        '<pattern id="over-{ident}" class="pattern-over" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">'
        '<rect width="5" height="5" class="ground"/><rect width="3" height="5" class="stripe"/></pattern>'
        '<pattern id="holiday-{ident}" class="pattern-holiday" width="6" height="6" patternUnits="userSpaceOnUse">'
        '<path d="M0 0L6 6M6 0L0 6" class="stripe"/></pattern></defs>'
    ).format(**words)
    return head + Markup("").join(parts) + Markup("</svg>")


# --- what there is to draw -------------------------------------------------------------------------------------------
def _pieces(clock: Clock, segments: Sequence[Segment], now: int, is_open: bool, say: Callable[[int], str]) -> list[_Piece]:
    """The clock's stretches: what was, split where the target was spent, then what is to come."""
    due = clock.deadline_at if clock.deadline_at is not None else clock.breached_at
    pieces: list[_Piece] = []
    for row in segments:
        if row.state in ("stopped", "gone") and row is segments[-1] and not is_open:
            continue  # what came after the end tells nothing
        tail = f"{gettext(_WORDS[row.state])}{f' ({row.name})' if row.name else ''} · {say(row.since)} – {say(row.until)} · " + (
            gettext("counted %(time)s", time=units(format_duration(row.counted))) if row.counted else gettext("not counted")
        )
        policy = " · " + gettext("policy %(name)s v%(version)d", name=row.policy, version=row.policy_version) if row.policy else ""
        total = gettext("total %(time)s", time=units(format_duration(row.total)))
        told = f"{tail} · {total}{policy}"
        if row.state == "running" and due is not None and clock.breached_at is not None and row.until > due:
            if row.since < due:
                pieces.append(_Piece(row.since, due, "running", told))
            pieces.append(_Piece(max(row.since, due), row.until, "over", told))
        else:
            pieces.append(_Piece(row.since, row.until, row.state, told, row.name))
    if len(pieces) > _MOST:
        pieces = _merged(pieces)
    if is_open and clock.phase == "running" and clock.deadline_at is not None and clock.deadline_at > now:
        hours = clock.terms.business_time if clock.business and clock.terms is not None else None
        stretches = [(now, clock.deadline_at, "open", None)] if hours is None else list(hours.segments(now, clock.deadline_at))
        for since, until, state, name in stretches:
            kind = {"open": "coming", "closed": "coming_closed"}.get(state, state)
            pieces.append(_Piece(since, until, kind, f"{gettext(_WORDS[kind])}{f' ({name})' if name else ''} · {say(since)} – {say(until)}", name))
    if pieces and is_open:
        room = max((pieces[-1].until - pieces[0].since) // 7, 1)  # for the label of the last mark
        pieces.append(_Piece(pieces[-1].until, pieces[-1].until + room, "room", ""))
    return [p for p in pieces if p.until > p.since]


def _merged(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Neighbours below 0.3 percent as one `mixed` piece."""
    least = (pieces[-1].until - pieces[0].since) * 3 // 1000
    out: list[_Piece] = []
    for piece in pieces:
        if out and piece.until - piece.since < least and out[-1].until - out[-1].since < least:
            out[-1] = _Piece(out[-1].since, piece.until, "running", gettext("mixed: several changes, see the ledger"))
        else:
            out.append(piece)
    return out


@dataclass(frozen=True)
class _Mark:
    at: int
    kind: str
    label: str
    title: str


def _marks(clock: Clock, now: int, is_open: bool, first: int, last: int, say: Callable[[int], str]) -> list[_Mark]:
    marks = []
    for kind in ("warning", "critical"):
        at = clock.passed.get(kind) or (clock.warning_at if kind == "warning" else clock.critical_at)
        if at is not None and (is_open or kind in clock.passed) and clock.terms is not None:
            percent = clock.terms.policy.warning if kind == "warning" else clock.terms.policy.critical
            word = gettext("warning") if kind == "warning" else gettext("critical")
            marks.append(_Mark(at, kind, f"{percent} %", gettext("%(mark)s at %(percent)d %% · %(when)s", mark=word, percent=percent, when=say(at))))
    if clock.breached_at is not None:
        at = clock.deadline_at if clock.deadline_at is not None and clock.deadline_at <= clock.breached_at else clock.breached_at
        marks.append(_Mark(at, "breach", gettext("breached %(when)s", when=say(at)), gettext("target spent, breached %(when)s", when=say(clock.breached_at))))
    elif clock.deadline_at is not None and is_open:
        due = gettext("due %(when)s", when=say(clock.deadline_at))
        marks.append(_Mark(clock.deadline_at, "due", due, due))
    if clock.phase in ("finished", "stopped") and clock.stopped_at is not None:
        met = clock.breached_at is None
        ended = gettext("met %(when)s", when=say(clock.stopped_at)) if met else gettext("done %(when)s", when=say(clock.stopped_at))
        marks.append(_Mark(clock.stopped_at, "met" if met else "done", ended, ended))
    if is_open:
        here = gettext("now %(when)s", when=say(now))
        marks.append(_Mark(now, "now", here, here))
    return [m for m in marks if first <= m.at <= last]


# --- drawing ---------------------------------------------------------------------------------------------------------
def _percent(x: float) -> str:
    return f"{x:.3f}".rstrip("0").rstrip(".") + "%"


def _segment(piece: _Piece, ruler: _Scale, ident: str, lines: Sequence[float]) -> Markup:
    """One stretch; its word goes to the longest part that no mark crosses."""
    x, end = ruler.x(piece.since), ruler.x(piece.until)
    width = max(end - x, 0.05)
    if piece.kind == "room":
        return Markup("")
    borders = [x, *(line for line in lines if x < line < end), end]
    free, middle = max((b - a, (a + b) / 2) for a, b in pairwise(borders))
    spot = {
        "x": _percent(x),
        "w": _percent(width),
        "end": _percent(end),
        "mid": _percent(middle),
        "ident": ident,
        "title": piece.title,
        "name": piece.name or "",
        "kind": piece.kind,
    }
    shapes = {
        "outside_hours": '<line x1="{x}" x2="{end}" y1="47" y2="47" class="dots"/>',
        "coming_closed": '<line x1="{x}" x2="{end}" y1="47" y2="47" class="dots"/>',
        "holiday": '<rect x="{x}" y="41" width="{w}" height="12" fill="url(#holiday-{ident})" class="outline"/>',
        "on_hold": '<rect x="{x}" y="34" width="{w}" height="26" fill="url(#hold-{ident})" class="outline"/>',
        "over": '<rect x="{x}" y="34" width="{w}" height="26" fill="url(#over-{ident})" class="outline"/>',
    }
    shape = shapes.get(piece.kind, '<rect x="{x}" y="34" width="{w}" height="26" class="body"/>')
    word = ""
    if free >= 9 and piece.kind in ("running", "on_hold", "over", "coming"):
        said = gettext("to come") if piece.kind == "coming" else gettext(_WORDS[piece.kind])
        if piece.kind in ("on_hold", "over"):
            half = len(said) * 3.3 + 4
            word = f'<svg x="{{mid}}" y="38" overflow="visible"><rect x="-{half:.0f}" y="0" width="{2 * half:.0f}" height="18" rx="3" class="plate"/></svg>'
        word += f'<text x="{{mid}}" y="51" text-anchor="middle" class="word">{escape(said)}</text>'
    elif piece.kind == "holiday" and piece.name and width >= 7:
        word = '<text x="{mid}" y="65" text-anchor="middle" class="word">{name}</text>'
    return Markup('<g class="seg seg-{kind}"><title>{title}</title>' + shape + word + "</g>").format(**spot)


def _dots(events: Sequence[int], ruler: _Scale, first: int, last: int) -> Markup:
    """Hollow dots; several within ten pixels are one with their number."""
    groups: list[list[float]] = []
    for x in sorted(ruler.x(at) for at in events if first <= at <= last):
        if groups and (x - groups[-1][0]) * _WIDTH / 100 < 12:
            groups[-1].append(x)
        else:
            groups.append([x])
    drawn = []
    for group in groups:
        spot = _percent(sum(group) / len(group))
        drawn.append(Markup('<circle cx="{0}" cy="73" r="{1}"/>').format(spot, 4 if len(group) == 1 else 6))
        if len(group) > 1:
            drawn.append(Markup('<text x="{0}" y="76.500" text-anchor="middle">{1}</text>').format(spot, len(group) if len(group) < 100 else "+"))
    return Markup('<g class="ev">') + Markup("").join(drawn) + Markup("</g>")


def _axis(pieces: Sequence[_Piece], ruler: _Scale, say: Callable[[int], str], now: int | None) -> Markup:
    """Four to eight ticks, at borders of segments first, then at round hours; none under the label of now."""
    first, last = pieces[0].since, pieces[-1].until
    borders = [p.since for p in pieces if p.kind not in (*_CLOSED, "coming_closed", "room")]
    step = next((s for s in (HOUR // 4, HOUR, 4 * HOUR, DAY, 7 * DAY, 30 * DAY) if (last - first) // s <= 8), 90 * DAY)
    rounds = list(range(first - first % step + step, last, step))
    chosen: list[tuple[float, int]] = []
    for at in (*borders, *rounds):
        x = ruler.x(at)
        if x <= 96 and (now is None or abs(x - ruler.x(now)) > 4) and len(chosen) < 8 and all(abs(x - other) >= 12 for other, _ in chosen):
            chosen.append((x, at))
    drawn = [Markup('<line x1="0%" x2="100%" y1="84" y2="84" class="base"/>')]
    for number, (x, at) in enumerate(sorted(chosen)):
        anchor = "start" if x < 5 else "middle"
        drawn.append(
            Markup('<g class="tick{2}"><line x1="{0}" x2="{0}" y1="84" y2="89"/><text x="{0}" y="102" text-anchor="{3}">{1}</text></g>').format(
                _percent(x), say(at), "" if number % 3 == 0 else " tick-wide", anchor
            )
        )
    return Markup('<g class="axis">') + Markup("").join(drawn) + Markup("</g>")


_SHAPES = {
    "warning": '<path d="M0 9L6 20H-6Z"/>',
    "critical": '<path d="M0 8L6.500 14.500L0 21L-6.500 14.500Z"/>',
    "breach": '<path d="M-2.700 8H2.700L6.500 11.800V17.200L2.700 21H-2.700L-6.500 17.200V11.800Z"/>'
    '<path d="M-2.500 12L2.500 17M2.500 12L-2.500 17" class="inner"/>',
    "due": '<path d="M0 8H10L7 12L10 16H0Z"/>',
    "met": '<circle cx="0" cy="14.500" r="6.500"/><path d="M-3 14.500L-0.800 17L3.200 12" class="inner"/>',
    "done": '<circle cx="0" cy="14.500" r="6.500" class="hollow"/>',
}


def _drawn_marks(marks: Sequence[_Mark], ruler: _Scale) -> list[Markup]:
    """Lines with their signs; of labels that would meet the graver stays, the other is in its title."""
    taken: list[tuple[float, float]] = []
    drawn: list[Markup] = []
    for mark in sorted(marks, key=lambda m: -_GRAVITY.get(m.kind, 4)):
        x = ruler.x(mark.at)
        if mark.kind == "now":
            anchor = "end" if x > 90 else "start" if x < 8 else "middle"
            drawn.append(
                Markup(
                    '<g class="now"><title>{1}</title><line x1="{0}" x2="{0}" y1="24" y2="108" class="casing"/><line x1="{0}" x2="{0}" y1="24" y2="108"/>'
                    '<text x="{0}" y="117" text-anchor="{2}">{1}</text></g>'
                ).format(_percent(x), mark.label, anchor)
            )
            continue
        width = (len(mark.label) * 6.4 + 12) * 100 / _WIDTH
        leftwards = mark.kind in ("warning", "critical") or x > 100 - width
        box = (x - width - 1, x) if leftwards else (x, x + width + 1)
        signs = [ruler.x(other.at) for other in marks if other is not mark and other.kind != "now"]
        free = all(box[1] < start or box[0] > end for start, end in taken) and box[0] > -3 and not any(box[0] - 0.8 < sign < box[1] + 0.8 for sign in signs)
        if free:
            taken.append(box)
        taken.append((x - 0.8, x + 0.8))
        text = Markup('<text x="{0}" y="15" dx="{1}" dy="4" text-anchor="{2}">{3}</text>').format(
            _percent(x), "-10" if leftwards else "12", "end" if leftwards else "start", mark.label
        )
        drawn.append(
            Markup(
                '<g class="clock-mark mark-{kind}"><title>{title}</title>'
                '<line x1="{x}" x2="{x}" y1="20" y2="60" class="casing"/><line x1="{x}" x2="{x}" y1="20" y2="60"/>'
                '<svg x="{x}" y="0" overflow="visible">'
            ).format(kind=mark.kind, title=mark.title, x=_percent(x))
            + Markup(_SHAPES[mark.kind])
            + Markup("</svg>")
            + (text if free else Markup(""))
            + Markup("</g>")
        )
    return list(reversed(drawn))
