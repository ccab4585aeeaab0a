"""What a tenant has decided for itself; services/tenant_settings.py says which settings there are and what a value may be."""

from collections.abc import Mapping

from sqlalchemy import String, Text, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from sla_plugin.store.bulk import upsert_rows
from sla_plugin.store.db import Base, Transaction


class TenantSetting(Base):
    """A setting that is not its default: the value as one would type it, sealed where it is a secret."""

    __tablename__ = "tenant_setting"
    tenant_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text, info={"sealed": True})


def stored_settings(tx: Transaction, tenant: int) -> dict[str, str]:
    """The settings of a tenant that are not their defaults, as stored."""
    rows = tx.execute(select(TenantSetting.name, TenantSetting.value).where(TenantSetting.tenant_id == tenant))
    return {row.name: row.value for row in rows}


def store_settings(tx: Transaction, tenant: int, values: Mapping[str, str | None]) -> None:
    """Store settings by name; None goes back to the default."""
    kept = [{"tenant_id": tenant, "name": name, "value": value} for name, value in values.items() if value is not None]
    upsert_rows(tx, TenantSetting.metadata.tables["tenant_setting"], kept, key=("tenant_id", "name"), change=("value",))
    gone = [name for name, value in values.items() if value is None]
    if gone:
        tx.execute(delete(TenantSetting).where(TenantSetting.tenant_id == tenant, TenantSetting.name.in_(gone)))
