"""For any WSGI server with threads; `gunicorn wsgi:app` finds the rest in gunicorn.conf.py. Workers and timekeepers are processes of their own."""

import os

from sla_plugin.app import create_app
from sla_plugin.logs import set_up_logging, speak_as
from sla_plugin.settings import Settings

settings = Settings.from_env(os.environ)
set_up_logging(settings.log_level, settings.log_format)
speak_as("web")
app = create_app(settings)
application = app  # what other servers look for
