"""Receivers of account signals; connected in `SocialConfig.ready`."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from accounts.signals import privacy_changed, privacy_changing, sessions_ended
from social import request_acceptance
from social.push import subscriptions
from social.services.locks import lock_account


@receiver(privacy_changing)
def lock_account_relations(user_id: int, **_: Any) -> None:
    """Keep others from following the account, by the old or the new rule, until the change commits."""
    lock_account(user_id)


@receiver(privacy_changed)
def accept_requests_when_public(user_id: int, is_private: bool, **_: Any) -> None:
    """Turn pending follow requests into follows when the account becomes public."""
    if not is_private:
        request_acceptance.accept_when_public(user_id)


@receiver(sessions_ended)
def delete_push_subscriptions(session_ids: list[int], **_: Any) -> None:
    """Send no more push messages to the browsers of sessions that end."""
    subscriptions.delete_of_sessions(session_ids)
