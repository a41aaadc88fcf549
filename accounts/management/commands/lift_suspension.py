"""Lift the suspension of an account."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts import moderation, operator_actions
from accounts.management.account_command import AccountCommand


class Command(AccountCommand):
    help = "Lift the suspension of an account: it and its content return at once. Audited."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--reason", metavar="TEXT", default="", help="for the audit log")

    def handle(self, username: str, reason: str, **options: Any) -> str:
        user = self.get_account(username)
        if user.suspended_at is None:
            raise CommandError(f"{user.username} is not suspended")
        self.stdout.write(f"Lifting the suspension of {user.username}.")
        if self.dry_run:
            return f"Dry run: would lift the suspension of {user.username}; nothing was changed."
        try:
            operator_actions.lift_suspension(user.pk, reason)
        except moderation.ActionRefused as error:
            raise CommandError(str(error)) from None
        return f"Lifted the suspension of {user.username}."
