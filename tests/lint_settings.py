"""The project's settings with the linter of migrations, which only `make check` needs."""

from instafeed.settings import *  # noqa: F403
from instafeed.settings import INSTALLED_APPS as OWN_APPS

INSTALLED_APPS = [*OWN_APPS, "django_migration_linter"]
