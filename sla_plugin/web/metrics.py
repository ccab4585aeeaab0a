"""`/metrics` for Prometheus. Figures are read from SQL when they are asked for, so any web process of any host tells the truth of all; only the door's
answers are counted in memory (`tally.py`), for this host. Labels are tenants, connections, parts and words of ours: never a ticket, a person or a text.
"""

import hmac
import ipaddress
import threading
import time
from collections.abc import Iterable

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from sla_plugin import __version__
from sla_plugin.engine.durations import SECOND
from sla_plugin.reports.machine import ConnectionFigures, Machine, TenantFigures, read_machine
from sla_plugin.settings import Settings
from sla_plugin.store import schema
from sla_plugin.store.duties import Duty
from sla_plugin.web.metric_table import METRICS, MetricRow
from sla_plugin.web.runtime import Runtime
from sla_plugin.web.tally import BOUNDS, Answers, Tally

FRESH = 2.0  # seconds for which a reading serves everybody who asks: a scrape in a loop costs no more than one
Sample = tuple[tuple[str, ...], float]


def blueprint(runtime: Runtime, tally: Tally) -> Blueprint:
    """`/metrics`, for those whom SLA_METRICS_TOKEN or SLA_METRICS_NETWORKS let in."""
    bp = Blueprint("metrics", __name__)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(runtime, tally))

    @bp.get("/metrics")
    def metrics() -> Response:
        """The figures as Prometheus reads them."""
        if not _may_read(runtime.settings, request.headers.get("Authorization", ""), request.remote_addr):
            said = "set SLA_METRICS_TOKEN and send it as a bearer token, or open SLA_METRICS_NETWORKS\n"
            return Response(said, 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/plain")
        return Response(generate_latest(registry), mimetype="text/plain; version=0.0.4; charset=utf-8", headers={"Cache-Control": "no-store"})

    return bp


def _may_read(settings: Settings, authorization: str, peer: str | None) -> bool:
    scheme, _, given = authorization.partition(" ")
    token = settings.metrics_token
    if token and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return True
    try:
        address = ipaddress.ip_address(peer or "")
    except ValueError:
        return False
    return any(address in network for network in settings.metrics_networks)


class Figures(Collector):
    """All metrics, read anew for a scrape unless that was done a moment ago."""

    def __init__(self, runtime: Runtime, tally: Tally) -> None:
        self._runtime = runtime
        self._tally = tally
        self._lock = threading.Lock()
        self._read: tuple[float, Machine | None, str | None, float] | None = None

    def collect(self) -> Iterable[Metric]:
        """Every family of METRICS, in that order; without samples where nothing is known."""
        machine, revision, took = self._machine()
        samples = _samples(machine)
        samples["sla_build_info"] = [((__version__, revision or "none", schema.newest()), 1)]
        samples["sla_database_up"] = [((), float(machine is not None))]
        parts = self._runtime.parts() if self._runtime.parts is not None else {}
        samples["sla_part_up"] = [((name,), float(part.healthy)) for name, part in parts.items()]
        samples["sla_scrape_seconds"] = [((), took)]
        answers = self._tally.read()
        samples["sla_webhook_answers_total"] = [((str(status),), count) for status, count in answers.by_status.items()]
        for row in METRICS:
            yield _histogram(row, answers) if row.kind == "histogram" else _family(row, samples.get(row.name, []))

    def _machine(self) -> tuple[Machine | None, str | None, float]:
        """The figures (None: the database does not answer), its revision, and the seconds they took. One reads, the others wait for it."""
        with self._lock:
            began = time.monotonic()
            if self._read is None or began - self._read[0] > FRESH:
                machine, revision = None, None
                try:
                    limits = {name: connector.limits for name, connector in self._runtime.outside.connectors.items()}
                    with self._runtime.database.reading(Duty.CHECKING) as tx:
                        machine = read_machine(tx, self._runtime.clock(), limits)
                    revision = schema.current(self._runtime.database.engine)
                except (SQLAlchemyError, OSError, TimeoutError):
                    pass  # said by sla_database_up
                self._read = (time.monotonic(), machine, revision, time.monotonic() - began)
            return self._read[1:]


def _family(row: MetricRow, samples: Iterable[Sample]) -> Metric:
    kind = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
    family = kind(row.name.removesuffix("_total") if row.kind == "counter" else row.name, row.help, labels=row.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _histogram(row: MetricRow, answers: Answers) -> Metric:
    buckets, total = [], 0
    for bound, count in zip([*(f"{b:g}" for b in BOUNDS), "+Inf"], answers.within, strict=True):
        total += count
        buckets.append((bound, float(total)))
    family = HistogramMetricFamily(row.name, row.help)
    family.add_metric((), buckets, answers.seconds)
    return family


def _samples(machine: Machine | None) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {row.name: [] for row in METRICS}
    if machine is None:
        return found
    found["sla_overdue_seconds"].append(((), machine.overdue / SECOND))
    for tenant in machine.tenants:
        for name, labels, value in _of_tenant(machine.now, tenant):
            found[name].append(((tenant.name, *labels), value))
        for connection in tenant.connections:
            for name, labels, value in _of_connection(machine.now, connection):
                found[name].append(((tenant.name, connection.name, *labels), value))
    return found


def _of_tenant(now: int, tenant: TenantFigures) -> Iterable[tuple[str, tuple[str, ...], float]]:
    for kind, waiting in tenant.inbox.items():
        yield "sla_inbox_deliveries", (kind,), waiting.count
        yield "sla_inbox_age_seconds", (kind,), 0 if waiting.oldest_at is None else max(now - waiting.oldest_at, 0) / SECOND
    for quantile, late in (("0.5", tenant.lateness.p50), ("0.99", tenant.lateness.p99), ("1", tenant.lateness.worst)):
        yield "sla_lateness_seconds", (quantile,), late / SECOND
    for level, count in tenant.alerts.items():
        yield "sla_alerts_5m", (level,), count
    for outcome, count in tenant.set_aside.items():
        yield "sla_deliveries_set_aside", (outcome,), count


def _of_connection(now: int, one: ConnectionFigures) -> Iterable[tuple[str, tuple[str, ...], float]]:
    for state in ("stored", "applied", "ignored", "unreadable", "failed"):
        yield "sla_deliveries_5m", (state,), one.deliveries.get(state, 0)
    yield "sla_deliveries_refused_total", (), one.refused
    if one.last_delivery_at is not None:
        yield "sla_connection_silence_seconds", (), max(now - one.last_delivery_at, 0) / SECOND
    for stage, lag in (("sending", one.sending_lag), ("applying", one.applying_lag)):
        if lag is not None:
            yield "sla_connection_lag_seconds", (stage,), lag / SECOND
    for mode in ("observe", "dry_run", "live"):
        yield "sla_connection_mode", (mode,), one.mode == mode
    for reason in ("circuit", "asked"):
        left = one.paused_until - now if one.pause == reason and one.paused_until is not None else 0
        yield "sla_connection_paused_seconds", (reason,), left / SECOND
    yield "sla_connection_failures", (), one.failures
    yield "sla_credentials_refused", (), one.problem is not None
    for limit, budget in (("documented", one.minute_left), ("vendor", one.vendor_left)):
        if budget is not None:
            yield "sla_write_budget_left", (limit,), budget
    for state, count in one.commands.items():
        yield "sla_outbox_commands", (state,), count
    yield "sla_outbox_wait_seconds", (), 0 if one.due_at is None else max(now - one.due_at, 0) / SECOND
    for state in ("waiting", "sending", "sent", "superseded", "failed"):
        yield "sla_calls_5m", (state,), one.calls.get(state, 0)
