"""The project's settings with an app whose migrations change an existing table."""

from instafeed.settings import *  # noqa: F403
from instafeed.settings import INSTALLED_APPS as PROJECT_APPS

INSTALLED_APPS = [*PROJECT_APPS, "tests.system.core.migrated_app"]
