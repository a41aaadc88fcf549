"""Settings in the environment that do not concern `manage.py stack`: they must not break it.

It runs services of its own, not those of DATABASE_URL, and needs no settings to stop them or to print their URLs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from instafeed.core import env

_SERVICES = (
    *("DATABASE_URL", "DATABASE_REPLICA_URLS", "DATABASE_DIRECT_URL", "REDIS_URL", "CELERY_BROKER_URL"),
    *("CELERY_BROKER_SENTINEL_MASTER", "CELERY_BROKER_SENTINEL_PASSWORD"),
)
_NEEDED = ("INSTAFEED_STACK_DIR", "DJANGO_SETTINGS_MODULE", "PATH", "HOME", "LANG", "LC_ALL", "TZ")


def set_aside(arguments: Sequence[str]) -> None:
    """Remove them from the environment of this process. `arguments` are those of the command `stack`."""
    is_running_one_meant = not {"--stop", "--env"}.isdisjoint(arguments)
    for name in set(os.environ) - set(_NEEDED) if is_running_one_meant else _SERVICES:
        env.set_aside(name)
