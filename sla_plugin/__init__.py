"""An SLA plugin for the helpdesk you already have."""

__version__ = "0.1.0"  # as in pyproject.toml (a test compares them)
