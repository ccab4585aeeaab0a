"""The audit trail: one entry per transaction and tenant, chained by hash."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.db import Base, TenantRow, Transaction
from sla_plugin.store.ids import new_id


class AuditEntry(TenantRow, Base):
    """What one transaction changed. `digest` is over the salted content, so that content can be erased while the chain still holds."""

    __tablename__ = "audit_entry"
    __table_args__ = (UniqueConstraint("tenant_id", "number"), Index("ix_audit_recent", "tenant_id", "at"))
    number: Mapped[int]
    at: Mapped[int]
    actor: Mapped[str] = mapped_column(String(200))
    what: Mapped[str] = mapped_column(String(100))
    changes: Mapped[dict[str, Any]]
    salt: Mapped[str] = mapped_column(String(32))
    digest: Mapped[str] = mapped_column(String(64))
    previous: Mapped[str] = mapped_column(String(64))
    chain: Mapped[str] = mapped_column(String(64))


class AuditHead(Base):
    """The last entry of a tenant's chain, kept apart: a tail that was cut off does not fit it. Writers of one tenant queue on this row."""

    __tablename__ = "audit_head"
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
    chain: Mapped[str] = mapped_column(String(64))


def content_digest(salt: str, changes: Mapping[str, Any]) -> str:
    """sha256 of the salt and the canonical JSON of the changes."""
    return hashlib.sha256((salt + json.dumps(changes, sort_keys=True, separators=(",", ":"))).encode()).hexdigest()


def chain_digest(previous: str, number: int, at: int, actor: str, what: str, digest: str) -> str:
    """The hash that the next entry builds on."""
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
    salt = os.urandom(16).hex()
    digest = content_digest(salt, changes)
    chain = chain_digest(previous, number, now, actor[:200], what[:100], digest)
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
        )
    )
    tx.execute(update(AuditHead).where(AuditHead.tenant_id == tenant).values(number=number, chain=chain))
