"""The one place that opens transactions: sessions, the write turn of SQLite, the types of columns.

Instants are stored as BIGINT microseconds since 1970-01-01 UTC in both databases (`to_timestamp(x / 1e6)` in psql): one exact representation from engine
to disk, no time zone can get in between.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import JSON, BigInteger, CursorResult, Engine, Executable, MetaData, create_engine, event, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sla_plugin.errors import ConfigurationError
from sla_plugin.store.duties import Duty, Scope
from sla_plugin.store.write_turn import WriteTurn

# Two roles that own nothing; the login acts as them where it may (isolation.py). The first sees one tenant, the second every one.
APP_ROLE, DUTY_ROLE = "sla_plugin_app", "sla_plugin_duty"
# takes the role of one tenant where the login is a member of both, and this database has granted them its tables
TAKE_ROLE = f"""
SELECT set_config('role', a.rolname, false) FROM pg_roles a, pg_roles d
WHERE a.rolname = '{APP_ROLE}' AND d.rolname = '{DUTY_ROLE}' AND pg_has_role(session_user, a.oid, 'MEMBER') AND pg_has_role(session_user, d.oid, 'MEMBER')
AND has_table_privilege(a.oid, to_regclass('tenant'), 'SELECT') AND has_table_privilege(d.oid, to_regclass('tenant'), 'SELECT')
"""  # noqa: S608 - names of ours
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
_T = TypeVar("_T")
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {int: BigInteger, dict[str, Any]: Json, list[Any]: Json}


class TenantRow:
    """Columns of every table: the tenant first, then the app's own id; both are the primary key."""

    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


db = SQLAlchemy()  # engine and its options only; models are on our own Base


class Transaction(Session):
    """One database transaction, of one tenant unless a duty reaches across. `after_commit(f)` runs f once the commit is durable, never after a rollback."""

    def __init__(self, engine: Engine, scope: Scope) -> None:
        super().__init__(engine, expire_on_commit=False, autoflush=False)
        self.scope = scope
        self._after: list[Callable[[], None]] = []

    def narrow(self, tenant: int) -> None:
        """A duty has found whose turn it is: from here on the transaction is that tenant's. Raises ValueError if it is another tenant's already."""
        if self.scope == tenant:
            return
        if not isinstance(self.scope, Duty):
            raise ValueError(f"a transaction of tenant {self.scope} cannot become one of {tenant}")
        self.scope = tenant
        if self.connection().info.get("guarded"):
            sql = "SELECT set_config('role', %s, true), set_config('app.tenant', %s, true)"
            self.connection().exec_driver_sql(sql, (APP_ROLE, str(tenant)))

    def change(self, statement: Executable) -> int:
        """Run an UPDATE, INSERT or DELETE; how many rows it changed.

        Raises RuntimeError where the driver does not say (Postgres and an INSERT of a mapped class, which answers -1: insert into its table instead).
        """
        changed = cast(CursorResult[Any], self.execute(statement)).rowcount
        if changed < 0:
            raise RuntimeError(f"how many rows were changed is not known: {statement}")
        return changed

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Run `effect` after the commit (wakes, never truth)."""
        self._after.append(effect)

    @property
    def is_postgres(self) -> bool:
        """True on Postgres, False on SQLite."""
        return self.get_bind().dialect.name == "postgresql"


class Database:
    """An engine and the rules of writing to it."""

    def __init__(self, engine: Engine, turn: WriteTurn | None = None) -> None:
        self.engine = engine
        self.turn = turn

    @contextmanager
    def transaction(self, scope: Scope, wait: float = 5.0) -> Iterator[Transaction]:
        """A writing transaction of a tenant (or of a duty): committed at the end, rolled back on any error. `wait`: seconds for the write turn (SQLite)."""
        with self._turn(wait):
            session = Transaction(self.engine, scope)
            try:
                session.connection(execution_options={"begin": "BEGIN" if self.turn is None else "BEGIN IMMEDIATE", "scope": scope})
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise
            finally:
                session.close()
        for effect in session._after:
            effect()

    @contextmanager
    def reading(self, scope: Scope) -> Iterator[Transaction]:
        """A reading transaction of a tenant (or of a duty); anything written in it is rolled back."""
        session = Transaction(self.engine, scope)
        try:
            session.connection(execution_options={"begin": "BEGIN", "scope": scope})
            yield session
        finally:
            session.close()  # ends the transaction; what was read stays readable

    @contextmanager
    def snapshot(self, scope: Scope) -> Iterator[Transaction]:
        """A reading transaction in which every statement sees the database as it stood at the first one, however long it lasts."""
        session = Transaction(self.engine, scope)
        try:
            # SQLite's reading transactions are like that anyway
            begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY" if self.turn is None else "BEGIN"
            session.connection(execution_options={"begin": begin, "scope": scope})
            yield session
        finally:
            session.close()

    @contextmanager
    def _turn(self, wait: float) -> Iterator[None]:
        if self.turn is None:
            yield
        else:
            with self.turn.hold(wait):
                yield

    def ping(self) -> None:
        """Raises whatever the database raises when it cannot answer."""
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def reset_after_fork(self) -> None:
        """Forget the parent's connections; call in a new child process."""
        self.engine.dispose(close=False)


class Statements:
    """For writes of a single statement, by one thread: on Postgres a kept connection on which every statement commits itself, on SQLite a transaction.

    One round trip instead of four (is it alive, BEGIN, the statement, COMMIT); the commit is synchronous all the same. Whose statements they are is said once,
    when the connection is opened.
    """

    def __init__(self, database: Database, scope: Scope) -> None:
        self._database = database
        self._scope = scope
        self._kept: Transaction | None = None

    def run(self, write: Callable[[Transaction], _T]) -> _T:
        """What `write` returns. It must stand being called twice: a kept connection that broke is replaced once, which a restart of the server needs."""
        if self._database.turn is not None:
            with self._database.transaction(self._scope) as tx:
                return write(tx)
        was_kept = self._kept is not None
        try:
            return self._on_kept(write)
        except OperationalError:
            if not was_kept:
                raise
            return self._on_kept(write)

    def close(self) -> None:
        """Close the kept connection; the pool does not get one back that acts for somebody."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.invalidate()

    def _on_kept(self, write: Callable[[Transaction], _T]) -> _T:
        try:
            if self._kept is None:
                self._kept = Transaction(self._database.engine, self._scope)
                self._kept.connection(execution_options={"isolation_level": "AUTOCOMMIT", "scope": self._scope})
            return write(self._kept)
        except BaseException:
            self.close()
            raise


def engine_options(url: str) -> dict[str, Any]:
    """Engine options for a database URL."""
    if make_url(url).get_backend_name() == "sqlite":
        return {"hide_parameters": True, "connect_args": {"timeout": 10, "check_same_thread": False}}
    return {
        "hide_parameters": True,  # a statement that fails must not quote its rows
        "pool_size": 10,
        "max_overflow": 10,
        "pool_pre_ping": True,
        "connect_args": {
            "connect_timeout": 3,
            # a database host that vanishes without a word is noticed within 10 s (on TCP), not when the kernel has tried for a quarter of an hour
            "keepalives_idle": 3,
            "keepalives_interval": 1,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            # a stopped process must not hold its locks beyond a lease
            "options": "-c idle_in_transaction_session_timeout=8000 -c lock_timeout=10000 -c tcp_user_timeout=10000 -c timezone=UTC",
        },
    }


def prepare_engine(engine: Engine) -> Engine:
    """Set what every connection needs; returns the engine. Drivers begin nothing by themselves: `on_begin` says how a transaction begins."""
    if engine.dialect.name == "sqlite":

        def on_connect(connection: Any, record: Any) -> None:
            connection.isolation_level = None  # the driver's own BEGIN comes too late: on_begin says it
            cursor = connection.cursor()
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000", "foreign_keys=ON"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

        def on_begin(connection: Any) -> None:
            connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    else:

        def on_connect(connection: Any, record: Any) -> None:
            connection.autocommit = True
            record.info["guarded"] = connection.execute(TAKE_ROLE, prepare=False).fetchone() is not None

        def on_begin(connection: Any) -> None:
            options = connection.get_execution_options()
            # where every statement commits itself nothing begins, and what is said holds for the connection
            begin = "" if options.get("isolation_level") == "AUTOCOMMIT" else options.get("begin", "BEGIN")
            words = _begin(begin, options.get("scope"), connection.info["guarded"])
            if not words:
                return
            driver = connection.connection.driver_connection
            # two statements in one message cannot be prepared, which the driver would try at the fifth time
            threshold, driver.prepare_threshold = driver.prepare_threshold, None
            try:
                connection.exec_driver_sql(words)
            finally:
                driver.prepare_threshold = threshold

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


def _begin(begin: str, scope: Scope | None, guarded: bool) -> str:
    """How a transaction on Postgres begins: it says whose it is, in the same round trip. Nobody's sees no rows. `begin` empty: said once, to a connection."""
    if scope is None:
        return begin
    if not guarded:  # the owner's words, so that a process goes on when somebody else brings the policies about
        words = "app.tenant = 'all'"
    elif isinstance(scope, Duty):
        words = f"ROLE {DUTY_ROLE}"
    else:
        words = f"app.tenant = '{int(scope)}'"
    return f"{begin}; SET LOCAL {words}" if begin else f"SET {words}"


def open_database(url: str, data_dir: Path) -> Database:
    """A Database for `url`; raises ConfigurationError for a kind that is not supported."""
    backend = make_url(url).get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ConfigurationError(f"DATABASE_URL: {backend} is not supported; use postgresql://… or leave it empty for SQLite")
    return database_of(create_engine(url, **engine_options(url)), data_dir)


def database_of(engine: Engine, data_dir: Path) -> Database:
    """A Database around an engine that exists already."""
    turn = WriteTurn(data_dir / "write.turn") if engine.dialect.name == "sqlite" else None
    return Database(prepare_engine(engine), turn)
