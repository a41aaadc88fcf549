"""The ASGI application for streams, and its server: `python -m instafeed.asgi`. All else is in `instafeed.wsgi`."""

from __future__ import annotations

import logging
import os

import django

from instafeed.core import startup

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instafeed.settings")
os.environ.setdefault("DATABASE_POOL", "true")  # for the threads, as in a web server; it also bounds statements
startup.require_services()
django.setup()
logging.captureWarnings(True)

from instafeed.stream import server  # noqa: E402
from instafeed.stream.application import Application  # noqa: E402

application = Application()

if __name__ == "__main__":
    startup.log_mistakes()
    server.serve(application)
