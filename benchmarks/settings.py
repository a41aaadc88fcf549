"""The project's settings, with the yardstick's views beside the project's own."""

from instafeed.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.urls"
