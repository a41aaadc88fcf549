"""The WSGI application of benchmarks: the project, and under /bare the same views without middleware."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.test.utils import override_settings

_BARE = "/bare"
_project = get_wsgi_application()
with override_settings(MIDDLEWARE=[]):  # the handler reads the setting only once, when it is created
    _bare = WSGIHandler()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path.startswith(_BARE):
        return _bare(environ | {"PATH_INFO": path.removeprefix(_BARE)}, start_response)
    return _project(environ, start_response)
