"""Sign in: password, second factor, session."""

from __future__ import annotations

from django.db import transaction

from accounts import second_factor, services, sessions
from accounts.client_info import ClientInfo
from accounts.models import User
from accounts.services import WrongPassword
from accounts.tokens import Tokens


def sign_in(user: User | None, password: str, code: str, client: ClientInfo) -> tuple[User, Tokens]:
    """Start a session for the account, as `services.find_account` returned it.

    Raises WrongPassword if it is None, if it is not active or if the password is wrong, and ApprovalPending if the
    password is right and the account awaits approval. Then, if the account has a
    second factor, raises second_factor.CodeRequired for an empty code and second_factor.WrongCode. Raises TokenRefused
    if the account was deactivated or its password changed meanwhile.
    """
    if not services.verify_password(user, password) or user is None:
        raise WrongPassword
    with transaction.atomic():
        # Locked before the second factor, as `confirm` does: a sign-in without a code ends before it is turned on.
        User.objects.select_for_update(no_key=True).filter(pk=user.pk).exists()
        second_factor.use_code(user.pk, code)
        return user, sessions.start(user, client)
