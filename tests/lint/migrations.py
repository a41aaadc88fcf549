"""Lint the project's migrations: `python -m tests.lint.migrations`, part of `make check`, options in pyproject.toml.

The linter reads each migration's SQL, which Django can generate only with a server. So an empty one is started, of
the version that runs in production.
"""

from __future__ import annotations

import logging
import os
import sys

from tests.support import services_plugin


def main() -> None:
    services_plugin.start()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.lint.settings"
    logging.disable(logging.INFO)  # one line per migration
    from django.core.management import execute_from_command_line

    # The linter does not know the primary's backend.
    execute_from_command_line(["manage.py", "lintmigrations", "--sql-analyser", "postgresql", *sys.argv[1:]])


if __name__ == "__main__":
    main()
