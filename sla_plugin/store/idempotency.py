"""Answers that were given under an Idempotency-Key, so that the same request gets the same answer. Kept in the transaction of what they tell of."""

import hashlib

from sqlalchemy import Index, String, Text, delete, func, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.db import Base, Transaction

REMEMBERED = 24 * 3600 * 1_000_000  # microseconds for which an answer is kept


class IdempotencyKey(Base):
    """A key with the request it was used for (a digest of it) and the answer, sealed."""

    __tablename__ = "idempotency_key"
    __table_args__ = (Index("ix_idempotency_key_at", "at"),)
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    answer: Mapped[str] = mapped_column(Text)
    at: Mapped[int]


def take_key(tx: Transaction, tenant: int, key: str) -> bool:
    """Hold a key until the transaction ends; False while another transaction holds it. On SQLite one transaction writes at a time anyway."""
    if not tx.is_postgres:
        return True
    lock = int.from_bytes(hashlib.sha256(f"idempotency {tenant} {key}".encode()).digest()[:8], "big", signed=True)
    return bool(tx.scalar(select(func.pg_try_advisory_xact_lock(lock))))


def kept_answer(tx: Transaction, tenant: int, key: str, since: int) -> IdempotencyKey | None:
    """The answer kept under a key, unless it is older than `since`."""
    found = tx.get(IdempotencyKey, (tenant, key))
    return found if found is not None and found.at >= since else None


def keep_answer(tx: Transaction, tenant: int, key: str, fingerprint: str, status: int, answer: str, now: int) -> None:
    """Keep an answer; an older one under the key is gone."""
    tx.execute(delete(IdempotencyKey).where(IdempotencyKey.tenant_id == tenant, IdempotencyKey.key == key))
    tx.execute(insert(IdempotencyKey).values(tenant_id=tenant, key=key, fingerprint=fingerprint, status=status, answer=answer, at=now))


def forget_answers(tx: Transaction, before: int, limit: int) -> int:
    """Forget answers of all tenants from before an instant, at most `limit`; how many."""
    old = tx.execute(select(IdempotencyKey.tenant_id, IdempotencyKey.key).where(IdempotencyKey.at < before).limit(limit)).all()
    for tenant, key in old:
        tx.execute(delete(IdempotencyKey).where(IdempotencyKey.tenant_id == tenant, IdempotencyKey.key == key, IdempotencyKey.at < before))
    return len(old)
