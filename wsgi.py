"""For any WSGI server with threads: `gunicorn --threads 8 wsgi:application`. Workers and the timekeeper are processes of their own."""

import os

from sla_plugin.app import create_app
from sla_plugin.settings import Settings

application = create_app(Settings.from_env(os.environ))
