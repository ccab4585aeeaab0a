"""The audit trail: who did what, when, and what it was before."""

from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import fields, validate
from sqlalchemy import select

from sla_plugin.reports.audit_trail import Search, fitting, verify_audit
from sla_plugin.reports.listing import list_rows
from sla_plugin.store.audit import AuditEntry, audit_head
from sla_plugin.store.tenants import get_tenant
from sla_plugin.web.access import needs
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.lists import PeriodQuery, Sort, after_of, long_page, page_schema, period, sort_keys
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Instant, Shape, Text
from sla_plugin.web.runtime import Runtime

ORDERS = {"at": AuditEntry.at}  # as ix_audit_recent has them; a period is a part of it


class EntrySchema(Shape):
    """An entry of the trail. Content that was erased is empty; the chain holds all the same."""

    number = fields.Integer(required=True)
    at = Instant(required=True)
    actor = fields.String(required=True)
    what = fields.String(required=True)
    changes = fields.Dict(required=True, metadata={"description": "What changed, with `before` and `after`."})
    digest = fields.String(required=True)
    previous = fields.String(required=True)
    chain = fields.String(required=True)


class AuditQuery(PeriodQuery):
    """Parameters of the trail."""

    actor = Text(200, metadata={"description": "Part of who did it."})
    what = Text(100, metadata={"description": "Part of what was done."})
    thing = Text(200, metadata={"description": "Part of what changed."})
    sort = Sort(ORDERS, load_default=[("at", True)])


class VerdictSchema(Shape):
    """Whether the trail is whole."""

    whole = fields.Boolean(required=True)
    number = fields.Integer(required=True, metadata={"description": "Entries that fit, or the first that does not."})
    problem = fields.String(required=True, allow_none=True)
    erased = fields.Integer(required=True, metadata={"description": "Entries whose content was erased."})
    head = fields.String(required=True, metadata={"description": "`NUMBER:HASH` of the last entry: keep it elsewhere, and hand it back as `anchor`."})


class VerifyQuery(Shape):
    """Parameters of verifying."""

    anchor = fields.String(
        validate=validate.Regexp("^[0-9]{1,18}:[0-9a-f]{64}$", error="Write NUMBER:HASH, as `head` says it."),
        metadata={"description": "A head that was kept elsewhere."},
    )


def resource(runtime: Runtime) -> Resource:
    """`/audit`."""
    api = Resource("audit", "Who did what, when, and what it was before: one chain of entries, none of which can be changed unnoticed.")

    @api.get("/audit")
    @needs("audit.read")
    @api.query(AuditQuery)
    @api.gives(page_schema(EntrySchema))
    def list_entries(query: dict[str, Any]) -> dict[str, Any]:
        """Entries of a period, the latest first."""
        keys = sort_keys(query, ORDERS, AuditEntry.number)
        with runtime.database.reading(caller().tenant) as tx:
            since, until = period(query, ZoneInfo(get_tenant(tx, caller().tenant).time_zone), caller().now)
            search = Search(query.get("actor", ""), query.get("what", ""), query.get("thing", ""), since, until)
            wanted = fitting(select(AuditEntry), caller().tenant, search)
            found = list_rows(tx, wanted, keys, limit=query["limit"], page=query["page"], after=after_of(query, keys))
        return long_page(found, query, keys, lambda row: row.AuditEntry)

    @api.get("/audit/verify")
    @needs("audit.read")
    @api.query(VerifyQuery)
    @api.gives(VerdictSchema)
    def verify(query: dict[str, Any]) -> dict[str, Any]:
        """Follow the chain from its beginning to its head."""
        with runtime.database.snapshot(caller().tenant) as tx:
            verdict = verify_audit(tx, caller().tenant, query.get("anchor"))
            number, chain = audit_head(tx, caller().tenant)
        return {"whole": verdict.problem is None, "number": verdict.number, "problem": verdict.problem, "erased": verdict.erased, "head": f"{number}:{chain}"}

    return api
