"""The composition root: the only place that knows everything."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, cast
from urllib.parse import urlsplit

import structlog
from flask import Flask
from flask.json.provider import DefaultJSONProvider
from sqlalchemy.exc import OperationalError

from connectors.http import Http
from connectors.registry import CONNECTORS
from connectors.signatures import sign_standard
from connectors.smtp import Smtp
from sla_plugin.jobs.ending import Ending
from sla_plugin.jobs.inbox import drain_inbox
from sla_plugin.jobs.outbox import drain_outbox
from sla_plugin.jobs.queue import RqQueue
from sla_plugin.jobs.timekeeper import Timekeeper
from sla_plugin.key_ring import KeyRing
from sla_plugin.ports import Connector, JobQueue, Mailer
from sla_plugin.services.outside import Outside
from sla_plugin.services.seed_tenant import seed_tenant
from sla_plugin.settings import Settings
from sla_plugin.store import schema
from sla_plugin.store.db import Database, database_of, db, engine_options
from sla_plugin.store.duties import Duty
from sla_plugin.store.sealing import Sealer
from sla_plugin.store.tenants import the_tenant
from sla_plugin.web import health, metrics, schemas
from sla_plugin.web.admin.registration import problem_page, register_pages
from sla_plugin.web.api.registration import register_api
from sla_plugin.web.door import WebhookDoor
from sla_plugin.web.headers import Headers
from sla_plugin.web.tally import Tally
from sla_plugin.web.true_address import TrueAddress

log = structlog.get_logger()
_DAY = 86_400_000_000


class Runtime:
    """Everything a process of ours works with."""

    def __init__(self, settings: Settings, database: Database, outside: Outside) -> None:
        self.settings = settings
        self.database = database
        self.outside = outside
        self.ending = Ending()
        self.parts: Callable[[], Mapping[str, Any]] | None = None  # health by part; set by the supervisor, which knows its children

    @staticmethod
    def clock() -> int:
        """Now, microseconds UTC."""
        return time.time_ns() // 1000

    @staticmethod
    def sign_delivery(secrets: Sequence[str], key: str, body: bytes, at: int) -> dict[str, str]:
        """The headers that sign a generic delivery of ours (an import) at `at`, microseconds UTC."""
        return sign_standard(secrets, key, body, at)

    @property
    def queue(self) -> JobQueue:
        """The queue that wakes workers."""
        return self.outside.queue

    @cached_property
    def timekeeper(self) -> Timekeeper:
        """The timekeeper of this process."""
        return Timekeeper(self.database, self.outside, self.clock, self.settings.raw_days)

    def drain_inbox(self) -> int:
        """Apply waiting deliveries; how many."""
        return drain_inbox(self.database, self.outside, self.clock, self.settings.batch_size, self.ending)

    def drain_outbox(self) -> int:
        """Send what is due; how many calls."""
        return drain_outbox(self.database, self.outside, self.clock, self.settings.outbox_threads, self.ending)

    def keep_time(self) -> None:
        """Keep time until `ending` is set."""
        self.timekeeper.run(self.ending)

    def migrate(self) -> bool:
        """Bring the schema to the newest version; True if it was not."""
        return schema.upgrade(self.database.engine)

    def demand_schema(self) -> None:
        """Raises ConfigurationError, with what to do, when this version cannot work on the database. One that does not answer is waited for as always."""
        try:
            schema.demand(self.database.engine)
        except OperationalError as problem:
            log.warning("the database does not answer yet", error=type(problem).__name__)

    def first_start_message(self) -> str | None:
        """Seed an empty database; the admin's one-time password at the very first start, else None."""
        with self.database.reading(Duty.TENANTS) as tx:
            if the_tenant(tx) is not None:
                return None
        with self.database.transaction(Duty.TENANTS) as tx:
            seeded = seed_tenant(tx, self.clock())
        return None if seeded is None else f"Sign in as {seeded.email} with the one-time password {seeded.password}"

    def reset_after_fork(self) -> None:
        """Forget what belongs to the parent process."""
        self.database.reset_after_fork()


class _Json(DefaultJSONProvider):
    """JSON in the order in which it is said, in letters as they are."""

    sort_keys = False
    ensure_ascii = False


def build(settings: Settings, connectors: Sequence[Connector] = CONNECTORS, queue: JobQueue | None = None, mailer: Mailer | None = None) -> Runtime:
    """A runtime for `settings`. Raises ConfigurationError when a part cannot work."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    app = Flask("sla_plugin.engine")
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(settings.database_url)
    db.init_app(app)
    with app.app_context():
        database = database_of(db.engine, settings.data_dir)
    outside = Outside(
        connectors={c.name: c for c in connectors},
        http=Http(allow_private=settings.allow_private_urls),
        queue=queue or RqQueue(settings.redis_url),
        sealer=Sealer(KeyRing(settings).keys),
        settle=settings.settle_days * _DAY,
        impatient=Http(connect_timeout=3, read_timeout=6, allow_private=settings.allow_private_urls),
        mailer=mailer or Smtp(allow_private=settings.allow_private_urls, name=urlsplit(settings.public_url).hostname or ""),
        public_url=settings.public_url,
    )
    return Runtime(settings, database, outside)


def create_app(settings: Settings, runtime: Runtime | None = None) -> Flask:
    """The web application: the webhook door, health, the pages, the API."""
    runtime = runtime or build(settings)
    app = Flask("sla_plugin")
    app.json = _Json(app)
    app.register_blueprint(schemas.blueprint(runtime.outside))
    app.register_blueprint(health.blueprint(runtime.database))
    tally = Tally(settings.data_dir / "tally")
    app.register_blueprint(metrics.blueprint(runtime, tally))
    register_pages(app, runtime)
    register_api(app, runtime, otherwise=problem_page)
    # webhooks never reach Flask: the door answers them with the same limits and logs, at a fraction of the cost
    door = WebhookDoor(app.wsgi_app, runtime.database, runtime.outside, runtime.clock, tally)
    outermost = Headers(door, https=settings.public_url.startswith("https://"))
    # Flask's documentation wraps it so; its types know a method only
    cast(Any, app).wsgi_app = TrueAddress(outermost, settings.trusted_proxies) if settings.trusted_proxies else outermost
    app.extensions["sla_plugin"] = runtime
    return app
