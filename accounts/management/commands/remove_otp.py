"""Remove the second factor of an account."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from accounts import operator_actions, second_factor
from accounts.management.account_command import AccountCommand


class Command(AccountCommand):
    help = (
        "Remove the second factor of an account and end all its sessions, for a user who lost the authenticator app "
        "and the recovery codes. Make sure first that it is the user who asks."
    )

    def handle(self, username: str, **options: Any) -> str:
        user = self.get_account(username)
        if not second_factor.is_enabled(user.pk):
            raise CommandError(f"{user.username} has no second factor")
        self.stdout.write(f"Removing the second factor of {user.username}.")
        if self.dry_run:
            return f"Dry run: would remove the second factor of {user.username}; nothing was changed."
        try:
            ended = operator_actions.remove_second_factor(user.pk)
        except second_factor.NotEnrolled:
            raise CommandError(f"{user.username} has no second factor") from None
        return f"Removed the second factor of {user.username} and ended {ended} sessions."
