"""Sessions: one row for a sign-in and all tokens that descend from it.

A refresh token works once: using it issues the next one, and the row holds the id of the newest. A refresh token that
is not the newest was used before, by its owner or by a thief. Since the two cannot be told apart, the whole session
ends (RFC 9700, section 4.14). The exception is the token just before the newest: for `REUSE_GRACE` it answers with the
newest again, because two tabs of one browser may refresh at the same time.

Access tokens of an ended session are refused too: `accounts.auth_cache` lists the sessions that have not ended. So a
user has at most `MAX_SESSIONS`; a sign-in beyond that ends the oldest.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from uuid import uuid4

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework_simplejwt.settings import api_settings

from accounts import tokens
from accounts.auth_cache import MAX_SESSIONS, invalidate_auth_state
from accounts.client_info import ClientInfo
from accounts.models import Session, User
from accounts.signals import sessions_ended
from accounts.tokens import TokenRefused, Tokens
from instafeed.core.db.batches import delete_all_in_batches

FLUSH_BATCH_SIZE = 5_000  # rows
REUSE_GRACE = timedelta(seconds=10)
# The longest that can be set. A token may have been issued while another lifetime was set, and without the row of its
# session, the token would be valid again.
MAX_ACCESS_TOKEN_LIFETIME = timedelta(days=1)
_NO_CLIENT = ClientInfo()


def start(user: User, client: ClientInfo = _NO_CLIENT) -> Tokens:
    """Start a session for a user whose password was just verified.

    Raises TokenRefused if the account was deactivated or its password changed since then.
    """
    jti = uuid4().hex
    with transaction.atomic():
        # The row lock orders this before or after a password change, which ends all sessions that it finds.
        unchanged = User.objects.filter(pk=user.pk, password=user.password, is_active=True)
        if not unchanged.update(last_login=timezone.now()):
            raise TokenRefused
        # Under the lock, so that the ids of a user's sessions commit in their order (accounts.auth_cache relies on it).
        session = Session.objects.create(
            user_id=user.pk,
            refresh_jti=jti,
            expires_at=_refresh_expiry(),
            client=client.name,
            address=client.address,
        )
        _end_surplus(user.pk)
    return tokens.issue(user.pk, session.pk, jti)


def rotate(raw: str, client: ClientInfo = _NO_CLIENT) -> tuple[int, Tokens]:
    """Exchange a refresh token for a new pair of tokens. Return the user's id and the tokens.

    Raises TokenRefused. If the token was used before, its session is ended first, except within `REUSE_GRACE`.
    """
    claims = tokens.read_refresh(raw)
    with transaction.atomic():
        # Lock the user before the session, in the same order as code that ends all sessions; otherwise they deadlock.
        users = User.objects.select_for_update(no_key=True).filter(pk=claims.user_id, is_active=True)
        session = _lock_session(claims) if users.exists() else None
        if session is None or session.ended_at is not None:
            raise TokenRefused
        if session.refresh_jti == claims.jti:
            _replace_refresh_token(session, client)
        was_reused = not _was_just_replaced(session, claims.jti)
        if was_reused:
            _end(session.user_id, [session.pk])
    if was_reused:  # outside of the transaction, which must commit
        raise TokenRefused
    return session.user_id, tokens.issue(session.user_id, session.pk, session.refresh_jti, session.refreshed_at)


def end(raw: str) -> int:
    """End the session of a refresh token, used before or not. Return the user's id.

    An ended session stays ended. Raises TokenRefused if `raw` is not a valid refresh token.
    """
    claims = tokens.read_refresh(raw)
    with transaction.atomic():
        session = _lock_session(claims)
        if session is not None and session.ended_at is None:
            _end(session.user_id, [session.pk])
    return claims.user_id


def end_replaced(raw: str, kept: str) -> None:
    """End the session of one refresh token, unless the other token is of the same session.

    Does nothing if `raw` is not a valid refresh token.
    """
    with suppress(TokenRefused):
        if tokens.read_refresh(raw).session_id != tokens.read_refresh(kept).session_id:
            end(raw)


def end_one(user_id: int, session_id: int) -> bool:
    """End a live session of the user. Return False if the user has none with this id."""
    with transaction.atomic():
        session = get_live(user_id).select_for_update().filter(pk=session_id).first()
        if session is not None:
            _end(user_id, [session.pk])
    return session is not None


def end_others(user_id: int, session_id: int | None) -> None:
    """End all of the user's sessions except the given one."""
    with transaction.atomic():
        # Before the sessions, as in `rotate`. It also keeps sessions from being started meanwhile.
        User.objects.select_for_update(no_key=True).filter(pk=user_id).exists()
        end_all(user_id, keep=session_id)


def end_all(user_id: int, *, keep: int | None = None) -> int:
    """End a user's sessions, except the one with the id `keep`. Return their number. Call it inside a transaction."""
    live = Session.objects.select_for_update().filter(user=user_id, ended_at__isnull=True)
    # Locked in the order of ids, so that two concurrent calls cannot deadlock.
    session_ids = live.order_by("pk").values_list("pk", flat=True)
    ended = [session_id for session_id in session_ids if session_id != keep]
    _end(user_id, ended)
    return len(ended)


def get_live(user_id: int) -> QuerySet[Session]:
    """Return a user's sessions that have neither ended nor expired, from the primary."""
    live = Session.objects.using(DEFAULT_DB_ALIAS).filter(user=user_id, ended_at__isnull=True)
    return live.filter(expires_at__gt=timezone.now())


def delete_expired() -> None:
    """Delete sessions whose tokens have all expired."""
    expired = Session.objects.using(DEFAULT_DB_ALIAS).filter(expires_at__lt=timezone.now())
    delete_all_in_batches(expired, FLUSH_BATCH_SIZE)


def _replace_refresh_token(session: Session, client: ClientInfo) -> None:
    session.previous_jti, session.refresh_jti = session.refresh_jti, uuid4().hex
    session.refreshed_at, session.expires_at = timezone.now(), _refresh_expiry()
    session.client, session.address = client.name, client.address
    session.save(update_fields=["previous_jti", "refresh_jti", "refreshed_at", "expires_at", "client", "address"])
    User.objects.filter(pk=session.user_id).update(last_login=timezone.now())


def _was_just_replaced(session: Session, jti: str) -> bool:
    """Return whether a token was replaced by the newest one within REUSE_GRACE."""
    if session.refreshed_at is None or jti != session.previous_jti:
        return False
    return timezone.now() - session.refreshed_at <= REUSE_GRACE


def _lock_session(claims: tokens.Claims) -> Session | None:
    """Lock and return the token's session, so that two concurrent uses of one token run one after the other."""
    if claims.session_id is None:
        return None
    return Session.objects.select_for_update().filter(pk=claims.session_id, user=claims.user_id).first()


def _end_surplus(user_id: int) -> None:
    """End the oldest sessions beyond MAX_SESSIONS."""
    live = Session.objects.filter(user=user_id, ended_at__isnull=True).order_by("-pk").values_list("pk", flat=True)
    if surplus := list(live[MAX_SESSIONS : MAX_SESSIONS + FLUSH_BATCH_SIZE]):
        _end(user_id, surplus)


def _end(user_id: int, session_ids: list[int]) -> None:
    now = timezone.now()
    Session.objects.filter(pk__in=session_ids).update(ended_at=now, expires_at=now + MAX_ACCESS_TOKEN_LIFETIME)
    invalidate_auth_state(user_id)
    sessions_ended.send(sender=Session, session_ids=session_ids)


def _refresh_expiry() -> datetime:
    return timezone.now() + api_settings.REFRESH_TOKEN_LIFETIME
