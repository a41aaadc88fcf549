"""Lints the project's migrations (pyproject.toml says how): `python -m tests.lint_migrations`, a part of `make check`.

The linter reads the SQL of each migration, which Django writes only with a server at hand: an empty one, of the
version that the migrations will meet.
"""

from __future__ import annotations

import logging
import os
import sys

from tests import stack_plugin


def main() -> None:
    stack_plugin.start()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.lint_settings"
    logging.disable(logging.INFO)  # a line for each migration
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", "lintmigrations", *sys.argv[1:]])


if __name__ == "__main__":
    main()
