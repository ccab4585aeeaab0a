"""For any WSGI server with threads: `gunicorn -w 2 -k gthread --threads 16 wsgi:app`. Workers and the timekeeper are processes of their own."""

import os

from sla_plugin.app import create_app
from sla_plugin.settings import Settings

app = create_app(Settings.from_env(os.environ))
application = app  # the name other WSGI servers look for
