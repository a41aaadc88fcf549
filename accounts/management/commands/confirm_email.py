"""Mark the email address of an account as verified."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from accounts import operator_actions, services
from accounts.management.account_command import AccountCommand


class Command(AccountCommand):
    help = (
        "Mark the email address of an account as verified, as if its link had been opened. The address can then reset "
        "the password: make sure that it belongs to the user. Audited."
    )

    def handle(self, username: str, **options: Any) -> str:
        user = self.get_account(username)
        if not user.email:
            raise CommandError(f"{user.username} has no email address")
        if user.email_verified:
            raise CommandError(f"the address of {user.username} is verified")
        self.stdout.write(f"Confirming the address {user.email} of {user.username}.")
        if self.dry_run:
            return f"Dry run: would confirm the address of {user.username}; nothing was changed."
        try:
            operator_actions.confirm_email(user.pk, user.email)
        except services.AlreadyTaken:
            raise CommandError("another account has verified this address") from None
        except operator_actions.AddressChanged:
            raise CommandError(f"the address of {user.username} was changed meanwhile; run again") from None
        return f"Confirmed the address of {user.username}."
