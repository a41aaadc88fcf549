"""Celery's programs log as Django does (instafeed.core.observability.logging_config), and say when they begin."""

from __future__ import annotations

import logging
from typing import Any

from celery.signals import beat_init, celeryd_init, setup_logging
from django.conf import settings
from django.utils.log import configure_logging

logger = logging.getLogger(__name__)


@celeryd_init.connect  # a worker warns of what it is run as before it sets up logging
@setup_logging.connect
def _configure_logging(**_: Any) -> None:
    """Celery would install formats of its own; with a receiver it leaves logging alone."""
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    logging.captureWarnings(True)


@beat_init.connect
def _log_beat_start(**_: Any) -> None:
    logger.info("beat begins")
