"""Give a member of staff a second factor for the admin."""

from __future__ import annotations

from base64 import b32encode
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import second_factor
from accounts.models import User


class Command(BaseCommand):
    help = (
        "Makes a key for an authenticator app, and ten backup codes of which each works once. Both are shown here "
        "and never again; send them to their owner by a way that you trust."
    )
    requires_migrations_checks = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="USERNAME")
        parser.add_argument("--replace", action="store_true", help="end the key and the backup codes that there are")

    def handle(self, username: str, replace: bool, **options: Any) -> None:
        user = User.objects.filter(username=username.lower()).first()
        if user is None or not user.is_staff:
            raise CommandError(f"{username} is no member of staff")
        try:
            device, codes = second_factor.enroll(user.pk, replace=replace)
        except second_factor.AlreadyEnrolled:
            raise CommandError(f"{user} has a second factor already; --replace ends it") from None
        self.stdout.write(f"For the app, as a link or a QR code:\n  {device.config_url}")
        self.stdout.write(f"or typed in:\n  {b32encode(device.bin_key).decode()}")
        self.stdout.write("Backup codes:\n  " + "  ".join(codes))
