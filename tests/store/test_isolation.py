"""Tenants are kept apart by structure: in the signatures of the store, in who may reach across, and in Postgres itself."""

import ast
import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, select, text, update
from sqlalchemy import event as listen
from sqlalchemy.exc import DBAPIError, ProgrammingError

from sla_plugin.settings import Settings
from sla_plugin.store import schema
from sla_plugin.store.bulk import of_tenant
from sla_plugin.store.db import APP_ROLE, DUTY_ROLE, Database, Statements, open_database
from sla_plugin.store.duties import Duty
from sla_plugin.store.isolation import OPEN_TABLES, POLICIES, ROLES, guarded_tables, have_role, isolation, owner_column
from sla_plugin.store.schema import METADATA
from sla_plugin.store.tickets import Ticket
from tests.conftest import run_statement
from tests.journeys.product import eventually
from tests.web.conftest import page_settings
from tests.web.world import World, full_world

ROOT = Path(__file__).resolve().parents[2]

# functions of the store without a tenant: the duty in whose transactions they are called, or why they need none
ACROSS = {
    "bulk.among": "a condition, not a statement",
    "bulk.insert_rows": "writes what it is given; every caller's rows name their tenant (of_tenant)",
    "bulk.upsert_rows": "the same",
    "bulk.update_rows": "takes the table before the tenant",
    "mentions.named_in": "a condition, not a statement",
    "snapshot.read_chunks": Duty.BACKUP,
    "snapshot.write_chunk": Duty.BACKUP,
    "snapshot.first_filled": Duty.BACKUP,
    "connections.find_by_public_id": Duty.DOOR,
    "calendar_feeds.due_feed": Duty.FEEDS,
    "connections.overdue_check": Duty.CREDENTIALS,
    "connections.paused_connections": Duty.OUTBOX,
    "deliveries.count_duplicates": Duty.RECEIVE,
    "erasures.next_erasure": Duty.TIME,
    "deliveries.inbox_depth": Duty.CHECKING,
    "deliveries.insert_deliveries": Duty.RECEIVE,
    "deliveries.next_tenant": Duty.INBOX,
    "deliveries.set_aside_deliveries": Duty.CHECKING,
    "deliveries.watermarks": Duty.TIME,
    "idempotency.forget_answers": Duty.RETENTION,
    "mails.add_reset_request": Duty.SIGN_IN,
    "mails.claim_mail": Duty.MAIL,
    "mails.drop_reset_request": Duty.SIGN_IN,
    "mails.free_mails": Duty.MAIL,
    "mails.mail_holders": Duty.MAIL,
    "mails.next_mail_at": Duty.TIME,
    "mails.next_reset_request": Duty.SIGN_IN,
    "mails.overdue_mail_check": Duty.MAIL,
    "mails.somebody_mails": Duty.SIGN_IN,
    "mails.waiting_mails": Duty.CHECKING,
    "notices.notify_transition": "a signal without content",
    "outbox.claim_calls": Duty.OUTBOX,
    "outbox.free_leases": Duty.OUTBOX,
    "outbox.lease_holders": Duty.OUTBOX,
    "outbox.next_call_at": Duty.TIME,
    "outbox.open_calls": Duty.CHECKING,
    "outbox.outbox_depth": Duty.TIME,
    "outbox.tickets_with_pending": Duty.OUTBOX,
    "outbox.unsettled_commands": Duty.CHECKING,
    "credentials.failures_of": Duty.SIGN_IN,
    "credentials.find_link": Duty.SIGN_IN,
    "credentials.find_token": Duty.SIGN_IN,
    "credentials.forgive": Duty.SIGN_IN,
    "credentials.forget_failures": Duty.RETENTION,
    "credentials.note_failure": Duty.SIGN_IN,
    "identities.overdue_provider": Duty.CREDENTIALS,
    "identities.tenant_of_bearer": Duty.SIGN_IN,
    "people.people_named": Duty.SIGN_IN,
    "tenants.add_tenant": Duty.TENANTS,
    "tenants.list_tenants": Duty.TENANTS,
    "plans.computing_plan": Duty.TIME,
    "tenants.only_tenant": Duty.SIGN_IN,
    "tenants.tenant_ids": Duty.TIME,
    "tenants.the_tenant": Duty.TENANTS,
    "tickets.claim_due": Duty.TIME,
    "tickets.earliest_transition": Duty.TIME,
}
# who may begin a transaction that reaches across
USERS = {
    "sla_plugin/app.py": {"TENANTS"},
    "sla_plugin/cli/backups.py": {"BACKUP"},
    "sla_plugin/cli/installation.py": {"TENANTS"},
    "sla_plugin/cli/keys.py": {"TENANTS"},
    "sla_plugin/cli/tenants.py": {"TENANTS"},
    "sla_plugin/jobs/inbox.py": {"INBOX"},
    "sla_plugin/jobs/feeds.py": {"FEEDS"},
    "sla_plugin/jobs/mails.py": {"MAIL", "SIGN_IN"},
    "sla_plugin/jobs/outbox.py": {"OUTBOX", "CREDENTIALS"},
    "sla_plugin/jobs/timekeeper.py": {"TIME", "RETENTION"},
    "sla_plugin/web/admin/signing_in.py": {"SIGN_IN"},
    "sla_plugin/web/bearer_jwt.py": {"SIGN_IN"},
    "sla_plugin/web/bearers.py": {"SIGN_IN"},
    "sla_plugin/web/committer.py": {"RECEIVE"},
    "sla_plugin/web/door.py": {"DOOR"},
    "sla_plugin/supervisor/health.py": {"CHECKING"},
    "sla_plugin/web/metrics.py": {"CHECKING"},
    "sla_plugin/web/sessions.py": {"SIGN_IN"},
}


def store_modules() -> Iterator[tuple[str, ModuleType]]:
    for path in sorted((ROOT / "sla_plugin" / "store").glob("*.py")):
        if path.stem != "__init__":
            yield path.stem, __import__(f"sla_plugin.store.{path.stem}", fromlist=["x"])


def test_no_store_function_is_called_without_a_tenant() -> None:
    without = set()
    for name, module in store_modules():
        for function in vars(module).values():
            if inspect.isfunction(function) and function.__module__ == module.__name__ and not function.__name__.startswith("_"):
                parameters = list(inspect.signature(function).parameters)
                if parameters[:1] == ["tx"] and parameters[1:2] != ["tenant"]:
                    without.add(f"{name}.{function.__name__}")
    assert without == set(ACROSS)


def test_only_those_listed_reach_across() -> None:
    used: dict[str, set[str]] = {}
    for path in sorted((ROOT / "sla_plugin").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Duty":
                used.setdefault(path.relative_to(ROOT).as_posix(), set()).add(node.attr)
    assert used == USERS


def test_the_docs_list_every_duty() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    assert [duty.name for duty in Duty if f"| {duty.name.lower()} | {duty.value} |" not in page] == []
    assert [table for table, why in OPEN_TABLES.items() if f"| `{table}` | {why} |" not in page] == []


def test_rows_of_another_tenant_are_refused_before_they_are_written() -> None:
    assert of_tenant(1, [{"tenant_id": 1}]) == [{"tenant_id": 1}]
    with pytest.raises(ValueError, match="a row of tenant 2 among those of 1"):
        of_tenant(1, [{"tenant_id": 1}, {"tenant_id": 2}])


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings.database_url, settings.data_dir)
    yield opened
    opened.engine.dispose()


def test_a_transaction_is_one_tenants_for_good(database: Database) -> None:
    with database.reading(Duty.INBOX) as tx:
        tx.narrow(7)
        tx.narrow(7)
        with pytest.raises(ValueError, match="of tenant 7 cannot become one of 8"):
            tx.narrow(8)


# --- Postgres --------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def pair_url(postgres_template: str) -> Iterator[str]:
    """A database with two companies in it."""
    run_statement(postgres_template, "CREATE DATABASE two_tenants TEMPLATE template_sla STRATEGY FILE_COPY")
    yield postgres_template.format(database="two_tenants")
    run_statement(postgres_template, "DROP DATABASE two_tenants WITH (FORCE)")


@pytest.fixture(scope="module")
def pair(pair_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, World]]:
    """Ours, and the neighbour."""
    folder = tmp_path_factory.mktemp("pair")
    ours, theirs = full_world(page_settings(pair_url, folder)), full_world(page_settings(pair_url, folder), "Nordwind", "nordwind.example")
    yield ours, theirs
    for world in (ours, theirs):
        world.runtime.database.engine.dispose()


@pytest.mark.postgres
def test_every_table_has_its_policy_and_the_others_a_reason(pair: tuple[World, World]) -> None:
    with pair[0].runtime.database.reading(Duty.CHECKING) as tx:
        policies = {(r.tablename, r.policyname, r.cmd) for r in tx.execute(text("SELECT * FROM pg_policies"))}
        tables = "SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        forced = {row[0]: row[1] for row in tx.execute(text(tables))}
    assert policies == {(table, policy, "ALL") for table in guarded_tables() for policy in POLICIES}
    assert {table for table, is_forced in forced.items() if not is_forced} == set(OPEN_TABLES)
    assert set(METADATA.tables) <= set(forced)


@pytest.mark.postgres
def test_the_product_acts_as_a_role_that_owns_nothing(pair: tuple[World, World]) -> None:
    assert isolation(pair[0].runtime.database.engine).state == "on"
    with pair[0].runtime.database.reading(pair[0].tenant) as tx:
        assert tx.scalar(text("SELECT current_user")) == APP_ROLE
        owned = "SELECT count(*) FROM pg_class WHERE relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)"
        assert tx.scalar(text(owned)) == 0
        assert tx.execute(text("SELECT rolsuper, rolbypassrls, rolcreaterole, rolcanlogin FROM pg_roles WHERE rolname = current_user")).one() == (False,) * 4


@pytest.mark.postgres
@pytest.mark.parametrize("table", guarded_tables())
def test_sql_without_a_where_sees_one_tenant(pair: tuple[World, World], table: str) -> None:
    ours, theirs = pair
    owner = METADATA.tables[table].c[owner_column(table)]
    with ours.runtime.database.reading(ours.tenant) as tx:
        seen = set(tx.scalars(select(owner)))
    assert seen <= {ours.tenant}
    with ours.runtime.database.reading(Duty.CHECKING) as tx:
        there = set(tx.scalars(select(owner)))
    assert there in (set(), {ours.tenant, theirs.tenant})
    with ours.runtime.database.engine.connect() as connection:  # nobody said whose transaction this is
        assert connection.execute(select(owner)).all() == []


@pytest.mark.postgres
@pytest.mark.parametrize("table", guarded_tables())
def test_sql_changes_nothing_of_another_tenant(pair: tuple[World, World], table: str) -> None:
    ours, theirs = pair
    chosen = METADATA.tables[table]
    owner = chosen.c[owner_column(table)]
    with ours.runtime.database.reading(theirs.tenant) as tx:
        row = tx.execute(select(chosen).limit(1)).mappings().first()
    for statement in (f"UPDATE {table} SET {owner.name} = {ours.tenant}", f"DELETE FROM {table}"):
        with ours.runtime.database.reading(ours.tenant) as tx:
            if table == "audit_entry":
                with pytest.raises(ProgrammingError, match="permission denied"):
                    tx.execute(text(statement))
            else:
                assert tx.connection().exec_driver_sql(f"{statement} WHERE {owner.name} = {theirs.tenant}").rowcount == 0
    if row is not None:
        copy = {**row, **({"id": 12345} if table != "tenant" and "id" in row else {})}
        with ours.runtime.database.reading(ours.tenant) as tx, pytest.raises(ProgrammingError, match="row-level security"):
            tx.execute(insert(chosen).values(copy))


@pytest.mark.postgres
def test_a_narrowed_duty_sees_one_tenant(pair: tuple[World, World]) -> None:
    ours, theirs = pair
    with ours.runtime.database.reading(Duty.INBOX) as tx:
        assert set(tx.scalars(select(Ticket.tenant_id))) == {ours.tenant, theirs.tenant}
        tx.narrow(theirs.tenant)
        assert set(tx.scalars(select(Ticket.tenant_id))) == {theirs.tenant}


@pytest.mark.postgres
def test_a_transaction_leaves_nothing_behind_for_the_next(pair: tuple[World, World]) -> None:
    ours, theirs = pair
    engine = ours.runtime.database.engine
    engine.dispose()
    with ours.runtime.database.reading(theirs.tenant) as tx:
        first = tx.scalar(text("SELECT pg_backend_pid()"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) == first, "the same connection"
        assert connection.execute(select(Ticket.id)).all() == []


@pytest.mark.postgres
def test_a_kept_connection_says_once_whose_it_is(pair: tuple[World, World]) -> None:
    """As the door's does; nobody else gets it afterwards."""
    ours, theirs = pair
    engine = ours.runtime.database.engine
    engine.dispose()
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    listen.listen(engine, "before_cursor_execute", note)
    kept = Statements(ours.runtime.database, Duty.RECEIVE)
    for _ in range(3):
        assert kept.run(lambda tx: set(tx.scalars(select(Ticket.tenant_id)))) == {ours.tenant, theirs.tenant}
    listen.remove(engine, "before_cursor_execute", note)
    assert [line for line in sent if not line.startswith("SELECT")] == [f"SET ROLE {DUTY_ROLE}"]
    assert kept.run(lambda tx: tx.connection().exec_driver_sql("SELECT pg_current_xact_id_if_assigned() IS NULL AND now() = statement_timestamp()").scalar())
    kept.close()
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT current_user")) == APP_ROLE
        assert connection.execute(select(Ticket.id)).all() == []


@pytest.mark.postgres
def test_a_snapshot_is_of_one_instant_and_of_whom_it_names(pair: tuple[World, World]) -> None:
    ours, theirs = pair
    database = ours.runtime.database
    with database.snapshot(Duty.BACKUP) as all_, database.snapshot(ours.tenant) as one:
        for tx, seen in ((all_, {ours.tenant, theirs.tenant}), (one, {ours.tenant})):
            assert set(tx.scalars(select(Ticket.tenant_id))) == seen
            assert tx.scalar(text("SHOW transaction_isolation")) == "repeatable read"
            assert tx.scalar(text("SHOW transaction_read_only")) == "on"
    with database.reading(ours.tenant) as tx:
        assert tx.scalar(text("SHOW transaction_isolation")) == "read committed"


@pytest.mark.postgres
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_entry",
        "UPDATE audit_entry SET chain = ''",
        "UPDATE audit_entry SET at = 0",
        "UPDATE audit_entry SET what = 'nothing'",
        "UPDATE audit_entry SET digest = ''",
        "TRUNCATE ticket",
        "ALTER TABLE ticket DISABLE ROW LEVEL SECURITY",
        "DROP POLICY one_tenant ON ticket",
        "UPDATE alembic_version SET version_num = '0'",
    ],
)
def test_the_role_may_not(pair: tuple[World, World], statement: str) -> None:
    with pair[0].runtime.database.reading(pair[0].tenant) as tx, pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        tx.execute(text(statement))


@pytest.fixture
def plain_login(postgres_template: str) -> Iterator[str]:
    """A login that owns its database, and may not make roles; the URL."""
    name = "plain_login"
    run_statement(postgres_template, f"CREATE ROLE {name} LOGIN")
    run_statement(postgres_template, f"CREATE DATABASE {name} OWNER {name}")
    yield postgres_template.format(database=name).replace("postgres:@", f"{name}:@")
    run_statement(postgres_template, f"DROP DATABASE {name} WITH (FORCE)")
    run_statement(postgres_template, f"DROP ROLE {name}")


@pytest.mark.postgres
def test_a_login_that_may_not_make_roles_works_and_says_so(postgres_template: str, plain_login: str, tmp_path: Path) -> None:
    engine = open_database(plain_login, tmp_path).engine
    schema.upgrade(engine)
    told = isolation(engine)
    assert (told.state, "CREATE ROLE sla_plugin_app NOLOGIN; GRANT sla_plugin_app TO plain_login" in told.detail) == ("off", True)
    world, other = full_world(page_settings(plain_login, tmp_path)), full_world(page_settings(plain_login, tmp_path), "Nordwind", "nordwind.example")
    assert world.rows("ticket")
    for role in ROLES:  # what the administrator then does
        run_statement(postgres_template, f"GRANT {role} TO plain_login WITH INHERIT FALSE, SET TRUE")
    schema.upgrade(engine)
    assert world.rows("ticket"), "a process that began before goes on"
    world.runtime.database.engine.dispose()
    assert isolation(engine).state == "on"
    with world.runtime.database.reading(world.tenant) as tx:
        assert set(tx.scalars(select(Ticket.tenant_id))) == {world.tenant}
        assert tx.execute(update(Ticket).where(Ticket.tenant_id == other.tenant).values(subject="x")).rowcount == 0  # type: ignore[attr-defined]
    with engine.connect() as connection:
        connection.exec_driver_sql("RESET ROLE")
        assert connection.execute(select(Ticket.id)).all() == [], "forced: the owner sees nothing unless it says so"
        connection.exec_driver_sql("SET LOCAL app.tenant = 'all'")
        assert set(connection.scalars(select(Ticket.tenant_id))) == {world.tenant, other.tenant}
    for one in (engine, world.runtime.database.engine, other.runtime.database.engine):
        one.dispose()


@pytest.mark.postgres
def test_missing_policies_are_told_and_brought_back(postgres_url: str, tmp_path: Path) -> None:
    engine = open_database(postgres_url, tmp_path).engine
    with engine.connect() as connection:
        connection.exec_driver_sql("RESET ROLE")
        connection.exec_driver_sql("DROP POLICY one_tenant ON ticket")
        connection.commit()
        connection.invalidate()
    assert isolation(engine).detail == "no policies on ticket: run `sla-plugin migrate`"
    assert schema.upgrade(engine) is False
    assert isolation(engine).state == "on"
    engine.dispose()


def test_sqlite_says_that_the_code_alone_keeps_apart(sqlite_url: str, tmp_path: Path) -> None:
    engine = open_database(sqlite_url, tmp_path).engine
    assert isolation(engine).state == "off"
    engine.dispose()


@pytest.mark.postgres
def test_two_installations_on_one_server_make_a_role_at_once(postgres_template: str) -> None:
    engine = create_engine(postgres_template.format(database="postgres"))

    def second() -> bool:
        with engine.connect() as connection, connection.begin():
            return have_role(connection, "made_twice")

    def waits() -> bool:
        with engine.connect() as connection:  # anew: what others do is looked up once a transaction
            sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE ROLE made_twice%'"
            return bool(connection.execute(text(sql)).scalar())

    with ThreadPoolExecutor(1) as pool:
        with engine.connect() as first, first.begin():
            assert have_role(first, "made_twice")
            other = pool.submit(second)
            eventually(waits, 20, "the second waits for the first")
        assert other.result(20)
    engine.dispose()
    run_statement(postgres_template, "DROP ROLE made_twice")
