"""Enroll a member of staff in two-factor authentication."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts import second_factor
from accounts.management.account_command import AccountCommand
from instafeed.core.management.base import usage_error


class Command(AccountCommand):
    help = (
        "Create a key for an authenticator app and ten single-use recovery codes. Both are shown only once; send them "
        "to the user over a channel that you trust."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--replace", action="store_true", help="replace the existing key and recovery codes")

    def handle(self, username: str, replace: bool, **options: Any) -> str:
        user = self.get_account(username)
        if not user.is_staff:
            raise usage_error(f"{user.username} is not a member of staff")
        if second_factor.is_enabled(user.pk) and not replace:
            raise CommandError(f"{user.username} already has a second factor; use --replace to replace it")
        self.stdout.write(f"Enrolling {user.username} in two-factor authentication.")
        if self.dry_run:
            return f"Dry run: would enroll {user.username}; nothing was changed."
        try:
            enrollment, codes = second_factor.enroll(user.pk, replace=replace)
        except second_factor.AlreadyEnrolled:
            raise CommandError(f"{user.username} was enrolled meanwhile; use --replace to replace it") from None
        self.stdout.write(f"Authenticator app, as a link or a QR code:\n  {enrollment.url}")
        self.stdout.write(f"or as a key to type in:\n  {enrollment.secret}")
        self.stdout.write("Recovery codes:\n  " + "\n  ".join(codes))
        return f"Enrolled {user.username}."
