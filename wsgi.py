"""For any WSGI server with threads; `gunicorn wsgi:app` finds the rest in gunicorn.conf.py. Workers and timekeepers are processes of their own."""

import os

from sla_plugin.app import create_app
from sla_plugin.settings import Settings

app = create_app(Settings.from_env(os.environ))
application = app  # what other servers look for
