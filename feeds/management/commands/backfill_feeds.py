"""Rebuild home timelines in Redis before their viewers read them."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet
from django.utils.dateparse import parse_date, parse_datetime

from accounts.models import User
from accounts.usernames import canonical_username
from feeds import backfill
from instafeed.core.management.base import INTERRUPTED_STATUS, OperatorCommand, usage_error, whole_number

USER_BATCH_SIZE = 500


class Command(OperatorCommand):
    help = (
        "Rebuilds feeds from the database: those of the given users, of all users, or of users who signed in since a "
        "time. Works in the order of user ids; when interrupted, it says with which --after to go on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        users = parser.add_mutually_exclusive_group(required=True)
        users.add_argument("--user", metavar="USERNAME", nargs="+", action="extend")
        users.add_argument("--all", action="store_true", help="every active user")
        users.add_argument(
            "--active-since",
            type=_parse_datetime,
            metavar="T",
            help="a date or time: 2026-11-01 or 2026-11-01T12:00Z",
        )
        parser.add_argument("--after", type=whole_number(0), default=0, metavar="ID", help="begin above this user id")

    def handle(self, **options: Any) -> str:
        users = self._select_users(**options)
        total = users.filter(pk__gt=options["after"]).count()
        self.stdout.write(f"Rebuilding the feeds of {total:,} users.")
        if self.dry_run:
            return f"Dry run: would rebuild {total:,} feeds; nothing was changed."
        last_id = options["after"]
        try:
            with self.progress("feeds", total) as progress:
                batch_size = self.batch_size(USER_BATCH_SIZE)
                for user_id in backfill.replace_home_timelines(users, after=last_id, batch_size=batch_size):
                    last_id = user_id
                    progress.add()
        except KeyboardInterrupt:
            raise CommandError(f"interrupted; go on with --after {last_id}", returncode=INTERRUPTED_STATUS) from None
        return f"Rebuilt {progress.done:,} feeds."

    def _select_users(self, *, user: list[str] | None, active_since: datetime | None, **_: Any) -> QuerySet[User]:
        users = User.objects.filter(is_active=True)
        if user is not None:
            usernames = {canonical_username(name) for name in user}
            users = users.filter(username__in=usernames)
            if unknown := usernames - set(users.values_list("username", flat=True)):
                raise usage_error(f"no active user is named {', '.join(sorted(unknown))}")
        return users if active_since is None else users.filter(last_login__gte=active_since)


def _parse_datetime(raw: str) -> datetime:
    try:
        day = parse_date(raw)
        moment = datetime(day.year, day.month, day.day) if day else parse_datetime(raw)  # noqa: DTZ001
    except ValueError:
        moment = None
    if moment is None:
        raise argparse.ArgumentTypeError(f"{raw!r} is not a date or time")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
