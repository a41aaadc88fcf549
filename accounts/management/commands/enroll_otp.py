"""Enroll a member of staff in two-factor authentication."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import second_factor
from accounts.models import User
from accounts.usernames import canonical_username


class Command(BaseCommand):
    help = (
        "Create a key for an authenticator app and ten single-use recovery codes. Both are shown only once; send them "
        "to the user over a channel that you trust."
    )
    requires_migrations_checks = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="USERNAME")
        parser.add_argument("--replace", action="store_true", help="replace the existing key and recovery codes")

    def handle(self, username: str, replace: bool, **options: Any) -> None:
        user = User.objects.filter(username=canonical_username(username)).first()
        if user is None or not user.is_staff:
            raise CommandError(f"{username} is not a member of staff")
        try:
            enrollment, codes = second_factor.enroll(user.pk, replace=replace)
        except second_factor.AlreadyEnrolled:
            raise CommandError(f"{user} already has a second factor; use --replace to replace it") from None
        self.stdout.write(f"Authenticator app, as a link or a QR code:\n  {enrollment.url}")
        self.stdout.write(f"or as a key to type in:\n  {enrollment.secret}")
        self.stdout.write("Recovery codes:\n  " + "\n  ".join(codes))
