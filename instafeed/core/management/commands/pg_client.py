"""`manage.py pg_client PROGRAM …`: run `pg_dump`, `psql` or another client of PostgreSQL on the primary."""

from __future__ import annotations

import argparse
import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from instafeed.core.db.client_programs import connection_environment


class Command(BaseCommand):
    help = (
        "Run a client program of PostgreSQL on the primary, such as pg_dump. The program gets address and password as "
        "environment variables, which other users of the machine cannot see. Bypasses PgBouncer with "
        "DATABASE_DIRECT_URL."
    )
    requires_system_checks = ()  # a restore runs it on an empty database

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("program")
        parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the program")

    def handle(self, *, program: str, arguments: list[str], **options: Any) -> None:
        if settings.OFFLINE:
            raise CommandError("DATABASE_URL is not set, and no embedded stack runs")
        url = settings.DATABASE_DIRECT_URL or settings.DATABASE_URL
        try:
            os.execvpe(program, [program, *arguments], os.environ | connection_environment(url))  # noqa: S606 - no shell on purpose
        except OSError as error:
            raise CommandError(f"cannot run {program}: {error.strerror}") from None
