"""The start of Celery's programs: one line for a mistake, log lines instead of banners, and metrics."""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery
from celery.apps import beat

from instafeed.core import env, startup
from instafeed.core.observability import celery_logging, metrics

logger = logging.getLogger(__name__)


class Beat(beat.Beat):
    """Celery's own writes a banner between the log lines, and nested tracebacks if a file cannot be created."""

    def run(self) -> None:
        options: dict[str, Any] = vars(self)
        options["quiet"] = True
        celery_logging.configure()
        startup.require_services()
        _require_places(**{name: options[name] for name in ("logfile", "schedule", "pidfile")})
        startup.log_mistakes()
        super().run()


class Application(Celery):
    @property
    def Beat(self) -> Any:
        return self.subclass_with_self(Beat)


def prepare_worker(instance: Any, options: dict[str, Any], **_: Any) -> None:
    """A receiver of `celeryd_init`."""
    instance.quiet = True
    startup.require_services()
    _require_places(**{name: options.get(name) for name in ("logfile", "statedb", "pidfile")})
    startup.require_media_directory()
    startup.require_mail_directory()
    startup.log_mistakes()
    if not metrics.MULTIPROCESS_DIR:
        logger.warning("PROMETHEUS_MULTIPROC_DIR is not set: nothing reports what the processes of this worker count")


def _require_places(*, logfile: str | None, **files: str | None) -> None:
    if logfile:
        raise env.SettingError("--logfile", "has no effect: log lines go to the standard error, which you can redirect")
    for name, file in files.items():
        if file:
            startup.require_place_for(f"--{name}", file)
