"""Make Celery's programs log as Django does (see `logging_config`)."""

from __future__ import annotations

import logging
from typing import Any

from celery.signals import beat_init, celeryd_init, setup_logging
from django.conf import settings
from django.utils.log import configure_logging

logger = logging.getLogger(__name__)


@celeryd_init.connect  # a worker logs warnings before it sets up logging
@setup_logging.connect
def _configure_logging(**_: Any) -> None:
    """Configure logging as in Django. Celery installs its own formats unless `setup_logging` has a receiver."""
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    logging.captureWarnings(True)


@beat_init.connect
def _log_beat_start(**_: Any) -> None:
    logger.info("beat started")
