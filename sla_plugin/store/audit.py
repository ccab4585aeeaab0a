"""The audit trail: one entry per transaction and tenant, chained by hash."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint, insert, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id


class AuditEntry(TenantRow, Base):
    """What one transaction changed, and who did it.

    `digest` is over the salted content, `actor_digest` over the salted actor, so that either can be erased (its salt is then empty) while the chain still
    holds. Entries from before revision 0011 have no `actor_digest`: their chain is over the actor's own words.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number"),
        Index("ix_audit_recent", "tenant_id", "at"),
        Index("ix_audit_content", "tenant_id", "at", postgresql_where=text("salt <> ''"), sqlite_where=text("salt <> ''")),
    )
    number: Mapped[int]
    at: Mapped[int]
    actor: Mapped[str] = mapped_column(String(200))
    what: Mapped[str] = mapped_column(String(100))
    changes: Mapped[dict[str, Any]]
    salt: Mapped[str] = mapped_column(String(32))
    digest: Mapped[str] = mapped_column(String(64))
    previous: Mapped[str] = mapped_column(String(64))
    chain: Mapped[str] = mapped_column(String(64))
    actor_salt: Mapped[str | None] = mapped_column(String(32))
    actor_digest: Mapped[str | None] = mapped_column(String(64))


class AuditHead(Base):
    """The last entry of a tenant's chain, kept apart: a tail that was cut off does not fit it. Writers of one tenant queue on this row."""

    __tablename__ = "audit_head"
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
    chain: Mapped[str] = mapped_column(String(64))


def content_digest(salt: str, changes: Mapping[str, Any]) -> str:
    """sha256 of the salt and the canonical JSON of the changes."""
    return hashlib.sha256((salt + json.dumps(changes, sort_keys=True, separators=(",", ":"))).encode()).hexdigest()


def actor_digest(salt: str, actor: str) -> str:
    """sha256 of the salt and the actor."""
    return hashlib.sha256((salt + actor).encode()).hexdigest()


def chain_digest(previous: str, number: int, at: int, actor: str, what: str, digest: str) -> str:
    """The hash that the next entry builds on; `actor` is the actor's digest, in old entries the actor."""
    return hashlib.sha256(f"{previous}|{number}|{at}|{actor}|{what}|{digest}".encode()).hexdigest()


def audit_head(tx: Transaction, tenant: int) -> tuple[int, str]:
    """(number, chain) of the last entry; (0, "") before the first."""
    row = tx.execute(select(AuditHead.number, AuditHead.chain).where(AuditHead.tenant_id == tenant)).first()
    return (row.number, row.chain) if row is not None else (0, "")


def append_audit(tx: Transaction, tenant: int, now: int, actor: str, what: str, changes: Mapping[str, Any]) -> None:
    """Append one entry; writers of one tenant queue here, so call it last in a transaction."""
    head = select(AuditHead.number, AuditHead.chain).where(AuditHead.tenant_id == tenant)
    last = tx.execute(head.with_for_update() if tx.is_postgres else head).one()
    number, previous = last.number + 1, last.chain
    salt, actor_salt = os.urandom(16).hex(), os.urandom(16).hex()
    digest, by = content_digest(salt, changes), actor_digest(actor_salt, actor[:200])
    chain = chain_digest(previous, number, now, by, what[:100], digest)
    tx.execute(
        insert(AuditEntry).values(
            tenant_id=tenant,
            id=new_id(),
            number=number,
            at=now,
            actor=actor[:200],
            what=what[:100],
            changes=dict(changes),
            salt=salt,
            digest=digest,
            previous=previous,
            chain=chain,
            actor_salt=actor_salt,
            actor_digest=by,
        )
    )
    tx.execute(update(AuditHead).where(AuditHead.tenant_id == tenant).values(number=number, chain=chain))
