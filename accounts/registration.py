"""The rules for users who register themselves. Operators create accounts with `services.register`, without them.

REGISTRATION says who gets an account:

* open: everyone.
* approval: those with a valid invite. Others get a pending account, which a moderator approves (accounts.approval).
* invite: those with a valid invite.
* closed: no one, also not with an invite.

A code that is wrong, expired, used up or revoked counts as no code in every mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import captcha, invites, registration_blocks, services
from accounts.client_info import ClientInfo
from accounts.models import User
from accounts.registration_blocks import IpAddress


class RegistrationMode(StrEnum):
    """The values of the setting REGISTRATION."""

    OPEN = "open"
    APPROVAL = "approval"
    INVITE = "invite"
    CLOSED = "closed"


class RegistrationClosed(Exception):
    """The site accepts no registrations."""


class InviteRequired(Exception):
    """The site accepts registrations with a valid invite only."""


class TooYoung(Exception):
    """The user is younger than MINIMUM_AGE."""


@dataclass(frozen=True)
class Application:
    """What a user sends to register, validated. The date of birth is checked and never stored."""

    username: str
    email: str
    password: str
    invite: str = ""
    captcha: str = ""
    birth_date: date | None = None


def require_open() -> None:
    """Raise RegistrationClosed if no request to register can succeed."""
    if settings.REGISTRATION == RegistrationMode.CLOSED:
        raise RegistrationClosed


def register(application: Application, client: ClientInfo, address: IpAddress | None) -> User:
    """Create an account, which is pending if it needs approval. `address` is the client's whole address.

    Raises RegistrationClosed, NetworkBlocked, TooYoung, EmailDomainBlocked, CaptchaInvalid, InviteRequired, and
    services.AlreadyTaken for the username.
    """
    require_open()
    registration_blocks.require_allowed_network(address)
    _require_age(application)
    registration_blocks.require_allowed_domain(application.email)
    solved = captcha.verify(application.captcha) if settings.CAPTCHA == "altcha" else None
    if settings.REGISTRATION == RegistrationMode.INVITE and not invites.is_valid(application.invite):
        raise InviteRequired  # before the password is hashed
    user = User.objects.prepare_user(application.username, application.email, application.password)
    with transaction.atomic():
        # All registrations take their locks in this order: the challenge, the invite, the user.
        if solved is not None:
            captcha.use(solved)
        user.invite = invites.use(application.invite) if application.invite else None
        if user.invite is None:
            _admit_without_invite(user, client)
        services.add_account(user)
    return user


def _admit_without_invite(user: User, client: ClientInfo) -> None:
    """Make the user pending where needed. Raises InviteRequired."""
    if settings.REGISTRATION == RegistrationMode.INVITE:
        raise InviteRequired
    if settings.REGISTRATION == RegistrationMode.APPROVAL:
        user.is_active, user.pending_since, user.registration_address = False, timezone.now(), client.address


def _require_age(application: Application) -> None:
    if settings.MINIMUM_AGE and (
        application.birth_date is None or _age_on(timezone.now().date(), application.birth_date) < settings.MINIMUM_AGE
    ):
        raise TooYoung


def _age_on(day: date, birth_date: date) -> int:
    """Return the age in whole years. Users born on 29 February are a year older on 1 March in other years."""
    return day.year - birth_date.year - ((day.month, day.day) < (birth_date.month, birth_date.day))
