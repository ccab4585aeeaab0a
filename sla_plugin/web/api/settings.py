"""What the tenant has decided for itself, from the one table of services/tenant_settings.py."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields
from sqlalchemy.exc import IntegrityError

from sla_plugin.language import gettext, marked
from sla_plugin.services.setting_kinds import Disagree, TenantSetting
from sla_plugin.services.tenant_settings import (
    BONDS,
    ROWS,
    TENANT_SETTINGS,
    change_problems,
    change_settings,
    check_settings,
    outside_problems,
    typed_settings,
)
from sla_plugin.store.db import Transaction
from sla_plugin.store.tenants import is_strict, lock_books
from sla_plugin.web.access import needs
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.problems import Problem, invalid
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
        super().__init__(required=True, load_only=row.kind == "secret", allow_none=row.kind == "number", metadata=described, **options)

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
        told = {name: "" if text is None else text for name, text in told.items()}  # a number may be none
        errors = check_settings({name: text for name, text in told.items() if not (ROWS[name].kind == "secret" and text.strip() in ("", "-"))})
        if errors:
            raise _refused(errors)
        sections = {ROWS[name].section for name in told}
        with runtime.database.reading(caller().tenant) as tx:
            before = typed_settings(tx, caller().tenant)
            errors = {name: said for one in sections for name, said in change_problems(tx, caller().tenant, one, told).items()}
        for one in sections:
            errors = errors or outside_problems(runtime.outside, one, before, told, caller().now)
        if errors:
            raise _refused(errors)
        try:
            with runtime.database.transaction(caller().tenant) as tx:
                lock_books(tx, caller().tenant)
                api.check(_data(tx), SettingsSchema)
                change_settings(tx, caller().tenant, told, caller().now, caller().actor.name, runtime.outside.sealer)
                tx.after_commit(runtime.outside.queue.wake_outbox)  # it proves new mail settings at once
                return _data(tx)
        except Disagree as problem:  # somebody else changed settings meanwhile
            raise _refused(problem.errors) from None
        except IntegrityError:
            taken = {name: said for one in sections & BONDS.keys() for name, said in BONDS[one].taken.items()}
            raise _refused(taken or {"name": marked("Another tenant is called so.")}) from None

    return api


def _refused(errors: Mapping[str, str]) -> Problem:
    return invalid({name: gettext(said) for name, said in errors.items()})


def _data(tx: Transaction) -> dict[str, Any]:
    texts = typed_settings(tx, caller().tenant)
    secrets = [name for name, text in texts.items() if text and ROWS[name].kind == "secret"]
    return {**texts, "strict": is_strict(tx, caller().tenant), "secrets_set": secrets}
