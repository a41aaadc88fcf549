"""Give an account a new password."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from accounts import operator_actions
from accounts.management.account_command import AccountCommand


class Command(AccountCommand):
    help = (
        "Give an account a new password and end all its sessions. Prints a random password, which is shown only here; "
        "ask the user to change it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--ask", action="store_true", help="ask for the password, or read it from the standard input, instead"
        )

    def handle(self, username: str, ask: bool, **options: Any) -> str:
        user = self.get_account(username)
        self.stdout.write(f"Resetting the password of {user.username}.")
        password = self.read_password(user) if ask else operator_actions.generate_password()
        if self.dry_run:
            return f"Dry run: would reset the password of {user.username}; nothing was changed."
        ended = operator_actions.reset_password(user.pk, password)
        if not ask:
            self.stdout.write(f"New password: {password}")
        return f"Reset the password of {user.username} and ended {ended} sessions."
