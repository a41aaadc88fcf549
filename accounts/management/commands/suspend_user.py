"""Suspend an account."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts import moderation, operator_actions
from accounts.management.account_command import AccountCommand
from instafeed.core.management.base import usage_error, whole_number


class Command(AccountCommand):
    help = "Suspend an account. It and its content disappear at once, and its tokens are refused. Audited."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--reason", metavar="TEXT", required=True, help="for the audit log")
        parser.add_argument(
            "--days",
            type=whole_number(1, moderation.MAX_SUSPENSION.days - 1),
            metavar="N",
            help="lift it automatically after N days (default: never)",
        )

    def handle(self, username: str, reason: str, days: int | None, **options: Any) -> str:
        user = self.get_account(username)
        try:
            moderation.require_reason(reason)
        except moderation.ActionRefused:
            raise usage_error("--reason is empty") from None
        length = "indefinitely" if days is None else f"for {days:,} days"
        self.stdout.write(f"Suspending {user.username} {length}.")
        if self.dry_run:
            return f"Dry run: would suspend {user.username} {length}; nothing was changed."
        until = None if days is None else timezone.now() + timedelta(days=days)
        try:
            changed = operator_actions.suspend(user.pk, until, reason)
        except moderation.ActionRefused as error:
            raise CommandError(str(error)) from None
        if not changed:
            return f"Changed nothing: {user.username} was suspended {length} before."
        return f"Suspended {user.username} {length}."
