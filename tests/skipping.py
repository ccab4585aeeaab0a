"""The only reasons to skip a test. Each can be demanded through TESTS_REQUIRE (comma-separated); .ci/run demands those that packages can bring."""

MAY_BE_ABSENT = ("chromium", "dovecot", "mounts", "namespaces", "node", "shared", "systemd")


def is_allowed(reason: str, required: str) -> bool:
    """True if a test may be skipped for `reason` (`no chromium`, `no ../shared` …) while the parts in `required` must be there."""
    said = reason.removeprefix("Skipped: ")
    return any(said in (f"no {part}", f"no ../{part}") for part in MAY_BE_ABSENT if part not in required.split(","))
