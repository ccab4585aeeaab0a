"""Exceptions that somebody makes for one ticket: a later deadline, another policy. In strict mode they are refused, and the attempt is on record."""

from collections.abc import Callable
from typing import Any

from flask import Response
from marshmallow import fields

from sla_plugin.services.choose_policy import choose_policy
from sla_plugin.services.extend_deadline import extend_deadline
from sla_plugin.services.record_override import LONGEST_REASON, Override
from sla_plugin.services.withdraw_extension import withdraw_extension
from sla_plugin.web.access import needs
from sla_plugin.web.api.gate import caller
from sla_plugin.web.api.problems import Problem, problem_answer
from sla_plugin.web.api.resource import Resource
from sla_plugin.web.api.shapes import Shape, Text
from sla_plugin.web.api.tickets import TICKET, the_ticket
from sla_plugin.web.api.writing import begin
from sla_plugin.web.runtime import Runtime


class ExceptionSchema(Shape):
    """What every exception says."""

    reason = Text(LONGEST_REASON, required=True, metadata={"description": "It stays with the ticket."})


class ExtensionSchema(ExceptionSchema):
    """A later deadline for a clock that runs or is on hold."""

    metric = Text(40, required=True, metadata={"description": "Whose clock: first_response, resolution, …"})
    by = Text(40, required=True, metadata={"description": "A duration such as `2h`, in business time where the target counts that."})


class WithdrawalSchema(ExceptionSchema):
    """An extension taken back."""

    event = Text(250, required=True, metadata={"description": "The event that granted it, as `explain` names it."})


class PolicyChoiceSchema(ExceptionSchema):
    """Another policy for one ticket."""

    policy = Text(200, required=True, allow_none=True, metadata={"description": "The name of an active policy; null leaves it to the conditions again."})


class DecisionSchema(Shape):
    """What was decided by hand, as an event of the ticket."""

    event = fields.String(required=True, metadata={"description": "The key of the event; of an extension, what takes it back."})


def resource(runtime: Runtime) -> Resource:
    """`/support/tickets/{id}/extensions` and `…/policy`."""
    api = Resource("exceptions", "What somebody decides for one ticket by hand, with a reason. In strict mode nothing moves; the attempt is on record.")

    def decide(ticket_id: int, service: Callable[..., Override], told: dict[str, Any]) -> dict[str, str] | Response:
        tx = begin(runtime)
        ticket = the_ticket(tx, ticket_id)
        done = service(tx, caller().tenant, ticket, **told, now=caller().now, actor=caller().actor.name, outside=runtime.outside)
        if done.refused:  # answered and not raised: the attempt is committed
            return problem_answer(Problem("strict-mode", "Strict mode: nobody makes exceptions. Nothing has moved; the attempt is on record."))
        return {"event": done.event}

    @api.post(f"{TICKET}/extensions")
    @needs("tickets.override")
    @api.body(ExtensionSchema)
    @api.gives(DecisionSchema, 201)
    def extend_a_deadline(told: dict[str, Any], ticket_id: int) -> dict[str, str] | Response:
        """Extend the deadline of a clock, from now on. What has passed stays passed."""
        return decide(ticket_id, extend_deadline, told)

    @api.post(f"{TICKET}/extensions/withdraw")
    @needs("tickets.override")
    @api.body(WithdrawalSchema)
    @api.gives(DecisionSchema, 201)
    def take_an_extension_back(told: dict[str, Any], ticket_id: int) -> dict[str, str] | Response:
        """Take an extension back, from now on."""
        return decide(ticket_id, withdraw_extension, {"extension": told["event"], "reason": told["reason"]})

    @api.post(f"{TICKET}/policy")
    @needs("tickets.override")
    @api.body(PolicyChoiceSchema)
    @api.gives(DecisionSchema, 201)
    def choose_a_policy(told: dict[str, Any], ticket_id: int) -> dict[str, str] | Response:
        """Put a ticket under a policy, whatever the conditions say, or leave it to them again."""
        return decide(ticket_id, choose_policy, told)

    return api
