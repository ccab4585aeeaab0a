"""The installation that a command works on: opened, at the right revision, with its tenant; and how commands answer."""

import json
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from sqlalchemy.exc import OperationalError

from sla_plugin.app import Runtime, build
from sla_plugin.errors import ConfigurationError
from sla_plugin.services.outside import Outside
from sla_plugin.settings import Settings
from sla_plugin.store import schema
from sla_plugin.store.db import Transaction
from sla_plugin.store.duties import Duty
from sla_plugin.store.tenants import list_tenants


class Installation:
    """A runtime and the tenant whose data a command reads and changes."""

    def __init__(self, runtime: Runtime, tenant: int) -> None:
        self.runtime = runtime
        self.tenant = tenant

    @property
    def settings(self) -> Settings:
        """What the operator decided."""
        return self.runtime.settings

    @property
    def outside(self) -> Outside:
        """What services may use of the outside."""
        return self.runtime.outside

    def now(self) -> int:
        """Now, microseconds UTC."""
        return self.runtime.clock()

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A writing transaction; a database that does not answer is told in one line."""
        with answering(), self.runtime.database.transaction(self.tenant) as tx:
            yield tx

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A reading transaction; a database that does not answer is told in one line."""
        with answering(), self.runtime.database.reading(self.tenant) as tx:
            yield tx

    def webhook_url(self, public_id: str) -> str:
        """Where the helpdesk sends its webhooks."""
        return f"{self.settings.public_url}/webhooks/{public_id}"


@contextmanager
def answering() -> Iterator[None]:
    """A database that does not answer, or is busy, becomes a ConfigurationError of one line."""
    try:
        yield
    except OperationalError as problem:
        raise ConfigurationError(f"the database does not answer (check DATABASE_URL): {str(problem.orig).splitlines()[0]}") from problem
    except TimeoutError as problem:
        raise ConfigurationError(f"the database is busy: {problem}; try again") from problem


def runtime_of(settings: Settings) -> Runtime:
    """A runtime that lets go of its database when the command ends."""
    runtime = build(settings)
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(runtime.database.engine.dispose)
    return runtime


def open_installation(settings: Settings) -> Installation:
    """Open what the settings point to. Raises ConfigurationError when there is no database yet, or one of another version."""
    runtime = runtime_of(settings)
    with answering():
        schema.demand(runtime.database.engine)
        with runtime.database.reading(Duty.TENANTS) as tx:
            tenants = {name: tenant for tenant, name in list_tenants(tx)}
    if not tenants:
        raise ConfigurationError("the database is empty: run `sla-plugin migrate` (or start with `make run`) first")
    wanted = settings.tenant or (next(iter(tenants)) if len(tenants) == 1 else "")
    if wanted not in tenants:
        problem = f"there is no tenant {wanted!r}" if wanted else "which tenant? Name it with `sla-plugin --tenant NAME` or SLA_TENANT"
        raise ConfigurationError(f"{problem}; there are {', '.join(tenants)}")
    return Installation(runtime, tenants[wanted])


def actor() -> str:
    """Who the audit trail names: the user of the operating system."""
    try:
        return f"command line ({pwd.getpwuid(os.getuid()).pw_name})"
    except KeyError:
        return f"command line (uid {os.getuid()})"


def answer(data: Any) -> None:
    """Print data as JSON."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))
