"""The composition root and what every app shares."""

from instafeed.celery import app as celery_app

__all__ = ["celery_app"]
