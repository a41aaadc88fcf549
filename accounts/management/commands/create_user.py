"""Create an account."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser

from accounts import operator_actions, services
from accounts.management.account_command import AccountCommand, one_line
from accounts.models import User
from accounts.usernames import canonical_username
from instafeed.core.management.base import usage_error


class Command(AccountCommand):
    help = (
        "Create an account. Asks for its password; without a terminal the password is the first line of the standard "
        "input. Works whether users may register themselves or not."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--email", metavar="ADDRESS", default="", help="the account's email address")
        parser.add_argument("--admin", action="store_true", help="with all rights in the admin")

    def handle(self, username: str, email: str, admin: bool, **options: Any) -> str:
        user = User(username=canonical_username(username), email=User.objects.normalize_email(email))
        try:
            user.full_clean(exclude=["password"])
        except ValidationError as error:
            raise usage_error(one_line(error)) from None
        kind = "administrator" if admin else "user"
        self.stdout.write(f"Creating the {kind} {user.username}.")
        password = self.read_password(user)
        if self.dry_run:
            return f"Dry run: would create the {kind} {user.username}; nothing was changed."
        try:
            operator_actions.create_user(user.username, user.email, password, is_admin=admin)
        except services.AlreadyTaken as error:
            raise usage_error(str(error)) from None
        hint = f" Run `manage.py enroll_otp {user.username}` for the second factor." if admin else ""
        return f"Created the {kind} {user.username}.{hint}"
