"""Make Celery's programs log as Django does (see `logging_config`)."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import Any

from celery.signals import beat_init, celeryd_init, setup_logging
from django.conf import settings
from django.utils.log import configure_logging

from instafeed.core.observability import logging_config

STDERR = 2
logger = logging.getLogger(__name__)


@celeryd_init.connect  # a worker logs warnings before it sets up logging
@setup_logging.connect
def configure(**_: Any) -> None:
    """Configure logging as in Django. Celery installs its own formats unless `setup_logging` has a receiver."""
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    logging.captureWarnings(True)


@celeryd_init.connect
def _log_what_signal_handlers_say(**_: Any) -> None:
    """Write log lines instead of the plain text with which a worker answers the signals that stop it.

    A signal handler must not use a logger, whose locks and buffers the interrupted code may hold.
    """
    from celery.apps import worker  # not in web processes

    formatter = logging_config.build_formatter(settings.LOG_FORMAT)

    def say(message: str, file: Any = None) -> None:
        record = logging.LogRecord("celery.worker", logging.INFO, "", 0, message.strip(), None, None)
        if logging.getLogger(record.name).isEnabledFor(record.levelno):
            with suppress(OSError):
                os.write(STDERR, f"{formatter.format(record)}\n".encode())

    vars(worker)["safe_say"] = say


@beat_init.connect
def _log_beat_start(**_: Any) -> None:
    logger.info("beat started")
