"""Every metric in one table: it drives `/metrics`, and docs/metrics.md holds it (tests compare both)."""

from dataclasses import dataclass

_OF_TENANT, _OF_CONNECTION = ("tenant",), ("tenant", "connection")


@dataclass(frozen=True)
class MetricRow:
    """A row of the table in docs/metrics.md: name as Prometheus shows it, kind, labels, what it says."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


METRICS = (
    MetricRow(
        "sla_build_info", "gauge", ("version", "schema", "schema_needed"), "1; the version that answers, the revision of the database and the one needed."
    ),
    MetricRow("sla_database_up", "gauge", (), "1 if the database answered this scrape; at 0 only the rows about parts and webhooks are there."),
    MetricRow("sla_part_up", "gauge", ("part",), "1 if the process lives; for the parts that `up` started on this host."),
    MetricRow("sla_inbox_deliveries", "gauge", (*_OF_TENANT, "kind"), "Deliveries that wait to be applied: live, history, retrying (10,000 means at least)."),
    MetricRow("sla_inbox_age_seconds", "gauge", (*_OF_TENANT, "kind"), "For how long the oldest of them has waited; 0 if none waits."),
    MetricRow(
        "sla_overdue_seconds", "gauge", (), "For how long the earliest transition not recorded yet has been due; grows while timekeeper or inbox stand still."
    ),
    MetricRow(
        "sla_lateness_seconds",
        "gauge",
        (*_OF_TENANT, "quantile"),
        "From the instant of a warning, critical or breach to its record, of the alerts of 5 minutes: 0.5, 0.99, 1.",
    ),
    MetricRow("sla_alerts_5m", "gauge", (*_OF_TENANT, "level"), "Alerts raised in 5 minutes: warning, critical, breach."),
    MetricRow(
        "sla_deliveries_5m",
        "gauge",
        (*_OF_CONNECTION, "outcome"),
        "Deliveries received in 5 minutes, by what became of them: stored, applied, ignored, unreadable, failed.",
    ),
    MetricRow(
        "sla_deliveries_set_aside",
        "gauge",
        (*_OF_TENANT, "outcome"),
        "Deliveries that could not be read (unreadable) or applied (failed) and that nobody has replayed.",
    ),
    MetricRow(
        "sla_deliveries_refused_total", "counter", _OF_CONNECTION, "Deliveries refused at the door since the connection was made: signature wrong or too old."
    ),
    MetricRow("sla_connection_silence_seconds", "gauge", _OF_CONNECTION, "Since the last delivery was received."),
    MetricRow(
        "sla_connection_lag_seconds",
        "gauge",
        (*_OF_CONNECTION, "stage"),
        "Of the newest event applied: from its instant to its receipt (sending), from receipt to applied (applying).",
    ),
    MetricRow("sla_connection_mode", "gauge", (*_OF_CONNECTION, "mode"), "1 for the mode the connection is in: observe, dry_run, live."),
    MetricRow(
        "sla_connection_paused_seconds",
        "gauge",
        (*_OF_CONNECTION, "reason"),
        "For how long nothing will be written: circuit (calls failed in a row), asked (the helpdesk wants it); else 0.",
    ),
    MetricRow("sla_connection_failures", "gauge", _OF_CONNECTION, "Calls that failed in a row; 0 after a success."),
    MetricRow("sla_credentials_refused", "gauge", _OF_CONNECTION, "1 if the last proof of the credentials (daily) found something wrong."),
    MetricRow(
        "sla_write_budget_left",
        "gauge",
        (*_OF_CONNECTION, "limit"),
        "Calls still allowed: documented (per minute, by our count), vendor (as its last answer said).",
    ),
    MetricRow("sla_outbox_commands", "gauge", (*_OF_CONNECTION, "state"), "Commands that are not settled: pending, calling, failed (10,000 means at least)."),
    MetricRow(
        "sla_outbox_wait_seconds", "gauge", _OF_CONNECTION, "For how long the call that is due first has been due; also grows while the connection is paused."
    ),
    MetricRow("sla_calls_5m", "gauge", (*_OF_CONNECTION, "state"), "Calls tried in 5 minutes, by how they stand: waiting, sending, sent, superseded, failed."),
    MetricRow("sla_webhook_answers_total", "counter", ("status",), "Answers of the webhook door, by HTTP status; of this host."),
    MetricRow("sla_webhook_seconds", "histogram", (), "From a webhook's headers to its answer, commit included; of this host."),
    MetricRow("sla_scrape_seconds", "gauge", (), "How long reading these figures took."),
)


def table_markdown() -> str:
    """The table of docs/metrics.md."""
    rows = [f"| `{row.name}` | {row.kind} | {', '.join(f'`{label}`' for label in row.labels) or '–'} | {row.help} |" for row in METRICS]
    return "\n".join(["| metric | kind | labels | what it says |", "|---|---|---|---|", *rows]) + "\n"
