"""Who keeps house in a database of tests and benchmarks: the login itself, not the role that the product acts as."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from sla_plugin.store.isolation import act_as_owner


@contextmanager
def as_owner(engine: Engine) -> Iterator[Connection]:
    """A connection that owns the tables and sees every tenant; each statement commits itself. Closed in the end: nobody works as owner by chance."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        act_as_owner(connection)
        try:
            yield connection
            connection.commit()  # SQLite began one all the same
        finally:
            connection.invalidate()
