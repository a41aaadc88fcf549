"""What follows for the graph when an account changes; connected in `SocialConfig.ready`."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from accounts.signals import privacy_changed, privacy_changing
from social.services.locks import lock_account
from social.services.privacy import accept_pending_requests


@receiver(privacy_changing)
def lock_account_relations(user_id: int, **_: Any) -> None:
    """Nobody follows, by the old rule or by the new, until the change has committed."""
    lock_account(user_id)


@receiver(privacy_changed)
def accept_requests_when_public(user_id: int, is_private: bool, **_: Any) -> None:
    if not is_private:
        accept_pending_requests(user_id)
