"""The project's settings, with the URLs of the yardstick added."""

from instafeed.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.urls"
