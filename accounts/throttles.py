"""Limits on guessing passwords, for the API and the admin, and on changes of a profile.

A password attempt is counted before the password is checked, so that concurrent attempts cannot exceed the limit. It
is given back if the password was right: only failures count.

Failures from unknown addresses lock an account for unknown addresses only. An address that signed in to the account
in the last 30 days has a bucket of its own, and so has each session for the passwords that it asks for. So an attacker
cannot lock out the owner of an account.

An account can be named by its username or its email address. Each name that is typed has a bucket, which answers 429,
and the account has one more for both. That one must not tell which names belong together: beyond its limit the answer
is that of a wrong password (`find_account_within_limit`).

While Redis is down, each process counts alone and knows no addresses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import Throttled
from rest_framework.request import Request

from accounts.models import User
from accounts.services import find_account
from accounts.tokens import SESSION_CLAIM
from accounts.usernames import MAX_SIGN_IN_NAME_LENGTH, canonical_username
from instafeed.core.api.throttling import (
    ActionThrottle,
    Bucket,
    Throttle,
    UserThrottle,
    client_address,
    count_silently,
    give_back,
    is_limited,
)
from instafeed.core.cache import commands, keys
from instafeed.core.cache.client import CacheUnavailable

_ACCOUNT_SCOPE, _ADDRESS_SCOPE = "login", "login_address"
_PASSWORD_METHODS = ("POST", "PATCH", "DELETE")


class SignInThrottle(Throttle):
    """Count attempts to sign in, by account and by address, whether the account exists or not."""

    scope = _ACCOUNT_SCOPE
    local_fallback = True

    def buckets(self, request: Request) -> Collection[Bucket]:
        if not is_limited(_ACCOUNT_SCOPE) and not is_limited(_ADDRESS_SCOPE):
            return []
        address, username = client_address(request), _submitted_username(request)
        if username is None:
            return [Bucket(_ADDRESS_SCOPE, address)]
        account = account_key(username)
        if _is_known_address(account, address):
            return [Bucket(_ACCOUNT_SCOPE, f"{account}:{address}")]
        return [Bucket(_ADDRESS_SCOPE, address), Bucket(_ACCOUNT_SCOPE, account)]


def find_account_within_limit(request: Request | HttpRequest, name: str) -> User | None:
    """Count an attempt to sign in to the account that is called `name`, and return the account.

    Return None beyond the limit of the account, as for a name that does not exist. Both do the same work.
    """
    user = find_account(name)
    if not is_limited(_ACCOUNT_SCOPE):
        return user
    typed, address = account_key(name), client_address(request)
    account = typed if user is None else f"sign-in:{user.pk}"
    client = f"{account}:{address}" if _is_known_address(typed, address) else account
    return user if count_silently(request, Bucket(_ACCOUNT_SCOPE, f"all-names:{client}")) else None


class PasswordThrottle(Throttle):
    """Count passwords that are tried inside a session, by session. Sessions of the admin are counted by user."""

    scope = _ACCOUNT_SCOPE
    local_fallback = True

    def identify(self, request: Request) -> str | None:
        if not request.user.is_authenticated or not self.asks_for_password(request):
            return None
        token = getattr(request, "auth", None)
        session_id = token.get(SESSION_CLAIM) if token is not None else None
        return f"user:{request.user.pk}" if session_id is None else f"session:{session_id}"

    def asks_for_password(self, request: Request) -> bool:
        return request.method in _PASSWORD_METHODS


class DeletionThrottle(PasswordThrottle):
    """The same for /me, where only a deletion asks for the password."""

    def asks_for_password(self, request: Request) -> bool:
        return request.method == "DELETE"


class MailThrottle(ActionThrottle):
    """Count requests for mails by user. `accounts.mail.outbox` counts mails by address, and tells no one."""

    scope = "mail"


class ResetThrottle(Throttle):
    """Count requests for password resets by the client's address."""

    scope = "reset"

    def identify(self, request: Request) -> str | None:
        return client_address(request)


class ProfileThrottle(ActionThrottle):
    scope = "profile"
    methods = ("PATCH",)


class PrivacyThrottle(UserThrottle):
    """Count private accounts that become public: each change moves all pictures of the account.

    The opposite is never refused. It can only follow a change that was counted. The view calls `require` when the
    user's row is locked: only then it is known whether the request changes anything.
    """

    scope = "privacy"

    @classmethod
    def require(cls, request: Request) -> None:
        """Count a change. Raises Throttled beyond the limit."""
        throttle = cls()
        if not throttle.allows(request):
            raise Throttled(throttle.wait())


class AvatarThrottle(ActionThrottle):
    """Count new avatars: each is a copy, a deletion, and later an invalidation of the CDN. Removing one is free."""

    scope = "avatar"
    methods = ("PATCH",)

    def identify(self, request: Request) -> str | None:
        sets_avatar = request.method == "PATCH" and _body(request).get("avatar") is not None
        return super().identify(request) if sets_avatar else None


def accept_password(request: Request | HttpRequest) -> None:
    """Give back the attempt of a request whose password was right or was not checked."""
    give_back(request, _ACCOUNT_SCOPE)
    give_back(request, _ADDRESS_SCOPE)


def remember_address(request: Request | HttpRequest, user: User) -> None:
    """Remember that someone signed in to the account from the request's address, for both names of the account.

    An email address that is not verified is no name of the account. Otherwise an attacker who claims it would get new
    attempts at its owner's password.
    """
    address, email = client_address(request), user.email if user.email_verified else ""
    try:
        known = [_known_address_key(account_key(name), address) for name in (user.username, email) if name]
        commands.run([("SET", key, 1, "EX", keys.KNOWN_ADDRESS_TTL) for key in known])
    except CacheUnavailable:
        pass  # the next sign-in remembers it


def account_key(username: str) -> str:
    """Return a short name of fixed size for an account; the username may be any text.

    No account has a longer name, so all longer texts share one name. To cut them would make accounts of their spaces.
    """
    name = canonical_username(username) if len(username) <= MAX_SIGN_IN_NAME_LENGTH else ""
    return f"account:{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:32]}"


def _is_known_address(account: str, address: str) -> bool:
    """Return whether someone signed in to the account from this address in the last 30 days."""
    try:
        (count,) = commands.run([("EXISTS", _known_address_key(account, address))])
        return bool(count)
    except CacheUnavailable:
        return False


def _known_address_key(account: str, address: str) -> str:
    """Return a key that reveals the address only to those who know SECRET_KEY: it is kept for long."""
    return keys.known_address(salted_hmac("accounts.known_address", f"{account}:{address}").hexdigest()[:32])


def _submitted_username(request: Request | HttpRequest) -> str | None:
    """Return the username of a request to the API or of the admin's form."""
    username = _body(request).get("username")
    return username if isinstance(username, str) else None


def _body(request: Request | HttpRequest) -> Mapping[str, object]:
    """Return the request's fields; none if its JSON is not an object, which the view refuses."""
    if not isinstance(request, Request):
        return request.POST.dict()
    return request.data if isinstance(request.data, dict) else {}
