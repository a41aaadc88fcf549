"""The project's settings with django-activity-stream installed, and the URLs of the rivals without middleware."""

from instafeed.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "actstream", "benchmarks.rivals.apps.RivalsConfig"]  # noqa: F405
MIDDLEWARE = []
ROOT_URLCONF = "benchmarks.rivals.urls"
# Its default prefetches actor, target and object of each action. The view prefetches only what the page shows.
ACTSTREAM_SETTINGS = {"FETCH_RELATIONS": False}
