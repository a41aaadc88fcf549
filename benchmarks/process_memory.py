"""The memory of processes. The programs hide theirs (instafeed.core.process), so only root can see what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

import psutil


@dataclass(frozen=True)
class Memory:
    """Megabytes of a process; `pss` counts shared pages in parts, `uss` only pages of its own. 0 if they are hidden."""

    rss: float
    pss: float = 0.0
    uss: float = 0.0

    def figures(self, prefix: str) -> dict[str, float]:
        values = {"rss": self.rss, "pss": self.pss, "uss": self.uss}
        return {f"{prefix}_{name}_mb": value for name, value in values.items() if value}


def read(process: psutil.Process) -> Memory:
    try:
        full = process.memory_full_info()
    except psutil.AccessDenied:
        return Memory(process.memory_info().rss / 2**20)
    return Memory(full.rss / 2**20, full.pss / 2**20, full.uss / 2**20)


def largest(processes: Sequence[psutil.Process]) -> Memory:
    """Return the memory of the process with the largest resident set."""
    return max(map(read, processes), key=lambda memory: memory.rss)


def serve_plain_django(pipe: Pipe) -> None:
    """For `ChildProcess`: send the memory of a process with Django, its auth app, REST framework, gunicorn and clients.

    It has none of the project's modules, models or URLs.
    """
    import django
    import gunicorn.workers.gthread
    import psycopg
    import redis
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler

    applications = ["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"]
    settings.configure(INSTALLED_APPS=applications, ALLOWED_HOSTS=["*"])
    django.setup()
    import rest_framework.views

    kept = (gunicorn.workers.gthread, psycopg, redis, rest_framework.views, WSGIHandler())
    pipe.send(read(psutil.Process()))
    del kept
