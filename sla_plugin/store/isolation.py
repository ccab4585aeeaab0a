"""Row-level security on Postgres: every row belongs to the tenant that the transaction names, whatever a query forgets to say.

The product acts as a role that owns nothing and sees the rows of `app.tenant` (set by `Database.transaction(tenant)`); a duty (duties.py) acts as a second one
that sees all. Two roles and not a setting that lifts the policy: `tenant_id = constant` twice is one condition to the planner, an OR is a wrong estimate.
The policies are forced: the owner of the tables sees rows after `SET app.tenant = 'all'`, as migrations do. They are brought about after every migration, for
every table there is then. A login that may not make roles works without all this.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import IntegrityError, InternalError, ProgrammingError

from sla_plugin.language import gettext
from sla_plugin.store.db import APP_ROLE, DUTY_ROLE, Base

ROLES = (APP_ROLE, DUTY_ROLE)
# table -> why no tenant owns its rows
OPEN_TABLES: Mapping[str, str] = {
    "alembic_version": "the number of the schema",
    "sign_in_failure": "failed sign-ins, before it is known whose tenant that is: digests of addresses only",
    "reset_request": "forgotten passwords, before it is known whose tenant that is: sealed addresses, gone within seconds",
}
# table -> what the roles may do there, where that is not everything; rows of the audit trail are added, and erased in part (salt, changes, actor)
NARROW_GRANTS: Mapping[str, str] = {
    "alembic_version": "SELECT",
    "audit_entry": "SELECT, INSERT, UPDATE (changes, salt, actor, actor_salt, actor_digest)",
}
POLICIES = ("every_tenant", "one_tenant", "owner")


@dataclass(frozen=True, slots=True)
class Isolation:
    """Whether the database itself keeps tenants apart; `detail` says why, and what to do."""

    on: bool
    detail: str

    @property
    def state(self) -> str:
        """In a word."""
        return "on" if self.on else "off"


def owner_column(table: str) -> str:
    """The column that names the tenant of a row."""
    return "id" if table == "tenant" else "tenant_id"


def guarded_tables() -> list[str]:
    """Every table whose rows belong to a tenant."""
    return sorted(name for name, table in Base.metadata.tables.items() if owner_column(name) in table.c and name not in OPEN_TABLES)


def act_as_owner(connection: Connection) -> None:
    """Let a migration see and change every row, from the next commit on for good: the login's own role, and all tenants."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("RESET ROLE")
        connection.exec_driver_sql("SET app.tenant = 'all'")


def enforce(connection: Connection) -> bool:
    """Bring roles and policies about where they are missing; False on SQLite, or where the login may not make the roles and nobody has made them."""
    if connection.dialect.name != "postgresql":
        return False
    had = {role for role in ROLES if have_role(connection, role)}
    if had != set(ROLES):
        return False
    guarded = _guarded(connection)
    there = set(inspect(connection).get_table_names())  # of an older revision while a backup of that is restored
    for table in guarded_tables():
        if table in there - guarded:
            own = f"{owner_column(table)} = nullif(current_setting('app.tenant', true), '')::bigint"
            for policy, who, which in (
                ("one_tenant", APP_ROLE, own),
                ("every_tenant", DUTY_ROLE, "true"),
                ("owner", "CURRENT_USER", "current_setting('app.tenant', true) = 'all'"),
            ):
                connection.exec_driver_sql(f"DROP POLICY IF EXISTS {policy} ON {table}")
                connection.exec_driver_sql(f"CREATE POLICY {policy} ON {table} TO {who} USING ({which})")
            connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            connection.exec_driver_sql(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    both = ", ".join(ROLES)
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {both}")
    for table in sorted(there & {*guarded_tables(), *OPEN_TABLES}):
        connection.exec_driver_sql(f"GRANT {NARROW_GRANTS.get(table, 'SELECT, INSERT, UPDATE, DELETE')} ON {table} TO {both}")
    return True


def _guarded(connection: Connection) -> set[str]:
    """Tables with all the policies, forced."""
    found = connection.exec_driver_sql(
        "SELECT c.relname FROM pg_class c JOIN pg_policies p ON p.tablename = c.relname AND p.schemaname = current_schema() "
        "WHERE c.relnamespace = current_schema()::regnamespace AND c.relrowsecurity AND c.relforcerowsecurity "
        "GROUP BY c.relname HAVING array_agg(p.policyname::text ORDER BY p.policyname::text) = %s",
        (list(POLICIES),),
    )
    return {row[0] for row in found}


def have_role(connection: Connection, role: str, *, again: bool = True) -> bool:
    """Make a role that owns nothing, and the login a member of it; False where the login may not. Membership alone gives nothing: one has to act as it.

    Roles are the server's: another installation on it may make the same one at this moment, then we look `again`.
    """
    try:
        with connection.begin_nested():
            if not _is_role(connection, role):
                connection.exec_driver_sql(f"CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS")
            if not connection.exec_driver_sql("SELECT pg_has_role(session_user, %s, 'MEMBER')", (role,)).scalar():
                connection.exec_driver_sql(f"GRANT {role} TO SESSION_USER{_WITHOUT_INHERITING if _version(connection) >= 160000 else ''}")
    except ProgrammingError:  # not allowed to make roles, or another installation's login made it
        return _is_role(connection, role) and bool(connection.exec_driver_sql("SELECT pg_has_role(session_user, %s, 'MEMBER')", (role,)).scalar())
    except (IntegrityError, InternalError):
        if not again:
            raise
        return have_role(connection, role, again=False)
    return True


_WITHOUT_INHERITING = " WITH INHERIT FALSE, SET TRUE"


def _version(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SHOW server_version_num").scalar() or 0)


def _is_role(connection: Connection, role: str) -> bool:
    return connection.exec_driver_sql("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).first() is not None


def isolation(engine: Engine) -> Isolation:
    """How tenants are kept apart in this database."""
    if engine.dialect.name != "postgresql":
        return Isolation(False, gettext("SQLite has no row-level security: tenants are kept apart by the code alone"))
    with engine.connect() as connection:
        missing = sorted(set(guarded_tables()) - _guarded(connection))
        acting, login = connection.exec_driver_sql("SELECT current_user, session_user").one()
    if acting != APP_ROLE:
        make = "; ".join(f"CREATE ROLE {role} NOLOGIN; GRANT {role} TO {login}" for role in ROLES)
        said = gettext(
            "the login %(login)s cannot act as %(roles)s: let an administrator run `%(make)s`, then `sla-plugin migrate`",
            login=login,
            roles=", ".join(ROLES),
            make=make,
        )
        return Isolation(False, said)
    if missing:
        return Isolation(False, gettext("no policies on %(tables)s: run `sla-plugin migrate`", tables=", ".join(missing)))
    return Isolation(True, gettext("row-level security, as %(role)s, which owns nothing", role=APP_ROLE))
