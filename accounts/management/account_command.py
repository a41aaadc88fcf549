"""The base class of commands that act on one account."""

from __future__ import annotations

import getpass
import sys

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from accounts.models import User
from accounts.usernames import canonical_username
from instafeed.core.management.base import OperatorCommand, usage_error


class AccountCommand(OperatorCommand):
    """An operator command without --rate: it changes one account in one transaction."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", metavar="USERNAME")
        parser.add_argument("--dry-run", action="store_true", help="print what would be done and change nothing")

    def get_account(self, username: str) -> User:
        """Return the account with this name, in any case. Raises a usage error if there is none or it was deleted."""
        user = User.objects.filter(username=canonical_username(username), deleted_at=None).first()
        if user is None:
            raise usage_error(f"no account is called {username!r}")
        return user

    def read_password(self, user: User) -> str:
        """Return a new password for the user, from a prompt or else the first line of standard input.

        Never from an argument, which other users of the machine could see. Raises CommandError if it is too weak.
        """
        password = self._prompt_for_password() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        return password

    def _prompt_for_password(self) -> str:
        password = getpass.getpass("Password: ")
        if getpass.getpass("Password (again): ") != password:
            raise CommandError("the two passwords differ")
        return password


def one_line(error: ValidationError) -> str:
    """Return all messages of a model's validation, with their fields."""
    return " ".join(f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items())
