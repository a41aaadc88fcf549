"""Create an invite."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from accounts import invites
from accounts.models.registration import MAX_NOTE_LENGTH
from accounts.operator_actions import SHELL
from instafeed.core.management.base import OperatorCommand, usage_error, whole_number


class Command(OperatorCommand):
    help = "Create an invite, and print its code and the link to register with it. Audited."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="print what would be done and change nothing")
        parser.add_argument(
            "--max-uses",
            type=whole_number(1, invites.MAX_USES),
            default=1,
            metavar="N",
            help="for at most N accounts (default: 1)",
        )
        parser.add_argument(
            "--days",
            type=whole_number(0, invites.MAX_DAYS),
            default=7,
            metavar="N",
            help="valid for N days (default: 7); 0: until it is revoked",
        )
        parser.add_argument("--note", default="", metavar="TEXT", help="whom it is for; shown in the admin")

    def handle(self, max_uses: int, days: int, note: str, **options: Any) -> str:
        if len(note) > MAX_NOTE_LENGTH:
            raise usage_error(f"--note has more than {MAX_NOTE_LENGTH} characters")
        accounts = "1 account" if max_uses == 1 else f"{max_uses:,} accounts"
        scope = f"for {accounts}, {f'valid for {days:,} days' if days else 'valid until it is revoked'}"
        self.stdout.write(f"Creating an invite {scope}.")
        if self.dry_run:
            return f"Dry run: would create an invite {scope}; nothing was changed."
        expires_at = invites.in_days(days) if days else None
        invite = invites.create(SHELL, max_uses=max_uses, expires_at=expires_at, note=note)
        self.stdout.write(f"Code: {invites.format_code(invite)}")
        self.stdout.write(f"Link: {invites.link(invite)}")
        return f"Created invite {invite.pk}."
