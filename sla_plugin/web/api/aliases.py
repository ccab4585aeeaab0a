"""Other names that addresses of the API are known by. They answer 308 with the query kept; a trailing slash does, too."""

from collections.abc import Mapping

ROOT = "/api/v1"
# other name -> ours, both below ROOT; whatever follows the name is kept
ALIASES: Mapping[str, str] = {
    "/support/sla-policies": "/sla/policies",
    "/sla/tickets": "/support/tickets",
    "/support-management/dashboard/sla/breaches": "/sla/breaches",
}


def ours(path: str) -> str | None:
    """The address that is meant by one that is not there; None where we know no other."""
    plain = path.rstrip("/")
    for alias, name in ALIASES.items():
        if plain == ROOT + alias or plain.startswith(f"{ROOT}{alias}/"):
            return ROOT + name + plain[len(ROOT + alias) :]
    return plain if plain != path and plain.startswith(f"{ROOT}/") else None
