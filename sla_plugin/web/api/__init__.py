"""The REST API under /api/v1: one module per noun; registration.py puts them together, docs/api.md says how to add one."""
