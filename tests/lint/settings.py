"""The project's settings plus the migration linter, for `make check`."""

from instafeed.settings import *  # noqa: F403
from instafeed.settings import INSTALLED_APPS as PROJECT_APPS

INSTALLED_APPS = [*PROJECT_APPS, "django_migration_linter"]
