"""What the tenant has decided for itself, from the one table of services/tenant_settings.py."""

from typing import Any

from marshmallow import Schema, ValidationError, fields

from sla_plugin.language import gettext
from sla_plugin.services.tenant_settings import ROWS, TENANT_SETTINGS, TenantSetting, change_settings, check_settings, typed_settings
from sla_plugin.store.db import Transaction
from sla_plugin.store.tenants import is_strict, lock_books
from sla_plugin.web.access import needs
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.problems import invalid
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Shape, Word
from sla_plugin.web.runtime import Runtime


class Typed(fields.Field[str]):
    """A setting: inside the text that somebody would type, outside a value of its kind."""

    def __init__(self, row: TenantSetting, **options: Any) -> None:
        self.kind = row.kind
        kinds = {"switch": "boolean", "number": "integer", "lines": "array"}
        described: dict[str, Any] = {"type": kinds.get(row.kind, "string"), "description": f"{row.label}. {row.help}"}
        if row.kind == "lines":
            described["items"] = {"type": "string"}
        super().__init__(required=True, load_only=row.kind == "secret", metadata=described, **options)

    def _serialize(self, value: str | None, attr: str | None, obj: Any, **_: Any) -> Any:
        text = value or ""
        if self.kind == "switch":
            return text == "yes"
        if self.kind == "lines":
            return text.splitlines()
        return int(text) if self.kind == "number" and text else text if self.kind != "number" else None

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> str:
        if self.kind == "switch" and isinstance(value, bool):
            return "yes" if value else "no"
        if self.kind == "number" and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if self.kind == "lines" and isinstance(value, list) and all(isinstance(line, str) for line in value):
            return "\n".join(value)
        if self.kind not in ("switch", "number", "lines") and isinstance(value, str):
            return value
        raise ValidationError(f"Send a {self.metadata['type']}.")


def _field(row: TenantSetting) -> fields.Field[Any]:
    described = {"description": f"{row.label}. {row.help}"}
    return Word(row.choices, required=True, metadata=described) if row.choices is not None else Typed(row)


_STRICT = "Nobody overrides a policy or a deadline by hand. It is turned on and off on the page."
SettingsSchema: type[Schema] = Shape.from_dict(
    {
        **{row.name: _field(row) for row in TENANT_SETTINGS},
        "strict": fields.Boolean(required=True, dump_only=True, metadata={"description": _STRICT}),
        "secrets_set": fields.List(fields.String(), required=True, dump_only=True, metadata={"description": "Secrets that have a value; none is answered."}),
    },
    name="SettingsSchema",
)


def resource(runtime: Runtime) -> Resource:
    """`/settings`."""
    api = Resource("settings", "What the tenant has decided for itself.")

    @api.get("/settings")
    @needs("settings.read")
    @api.versioned
    @api.gives(SettingsSchema)
    def show_settings() -> dict[str, Any]:
        """Every setting."""
        with runtime.database.reading(caller().tenant) as tx:
            return _data(tx)

    @api.patch("/settings")
    @needs("settings.write")
    @api.versioned
    @api.body(SettingsSchema, partial=True)
    @api.gives(SettingsSchema)
    def change_the_settings(told: dict[str, str]) -> dict[str, Any]:
        """Change settings; an empty secret stays as it is, `-` clears it."""
        errors = check_settings({name: text for name, text in told.items() if not (ROWS[name].kind == "secret" and text.strip() in ("", "-"))})
        if errors:
            raise invalid({name: gettext(said) for name, said in errors.items()})
        with runtime.database.transaction(caller().tenant) as tx:
            lock_books(tx, caller().tenant)
            api.check(_data(tx), SettingsSchema)
            change_settings(tx, caller().tenant, told, caller().now, caller().actor.name, runtime.outside.sealer)
            return _data(tx)

    return api


def _data(tx: Transaction) -> dict[str, Any]:
    texts = typed_settings(tx, caller().tenant)
    secrets = [name for name, text in texts.items() if text and ROWS[name].kind == "secret"]
    return {**texts, "strict": is_strict(tx, caller().tenant), "secrets_set": secrets}
