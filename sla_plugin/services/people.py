"""People of a tenant: what their entries must look like."""

import re

from sla_plugin.errors import InvalidDefinition

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


def check_email(email: str) -> None:
    """Raises InvalidDefinition (field `email`) for what cannot be a mail address."""
    if not _EMAIL.fullmatch(email):
        raise InvalidDefinition("email", f"{email!r} is no mail address; write one such as kim@example.com")
