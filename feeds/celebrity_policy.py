"""Push or pull: what becomes of an author's posts, and when an author should change sides."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q, QuerySet

from accounts.models import CelebrityState, User
from feeds.models import DeliveryMode

DEMOTION_RATIO = 0.9  # of the threshold: an author that hovers around it does not flap


def delivery_mode(state: int) -> DeliveryMode:
    """How a post is delivered that an author in `state` writes now. In doubt push: only a celebrity is pulled."""
    return DeliveryMode.PULL if state == CelebrityState.CELEBRITY else DeliveryMode.PUSH


def should_be_celebrity(user: User, threshold: int | None = None) -> bool:
    """Which side the user belongs on: a moderator's pin, else the follower count, with hysteresis."""
    if user.celebrity_pin is not None:
        return user.celebrity_pin
    threshold = threshold or settings.CELEBRITY_THRESHOLD
    if user.follower_count >= threshold:
        return True
    return is_celebrity_or_promoting(user) and user.follower_count >= DEMOTION_RATIO * threshold


def needs_transition(user: User) -> bool:
    """Whether the user should change sides; one that is on its way counts as being there."""
    return should_be_celebrity(user) != is_celebrity_or_promoting(user)


def is_celebrity_or_promoting(user: User) -> bool:
    return user.celebrity_state in (CelebrityState.PROMOTING, CelebrityState.CELEBRITY)


def authors_to_promote(threshold: int | None = None) -> QuerySet[User]:
    """Ordinary authors that should be celebrities: `should_be_celebrity` for the database."""
    counted = Q(celebrity_pin=None, follower_count__gte=threshold or settings.CELEBRITY_THRESHOLD)
    ordinary = User.objects.filter(celebrity_state=CelebrityState.ORDINARY)
    return ordinary.filter(Q(celebrity_pin=True) | counted)


def authors_to_demote(threshold: int | None = None) -> QuerySet[User]:
    """Celebrities that should be ordinary authors."""
    lower = DEMOTION_RATIO * (threshold or settings.CELEBRITY_THRESHOLD)
    counted = Q(celebrity_pin=None, follower_count__lt=lower)
    celebrities = User.objects.filter(celebrity_state=CelebrityState.CELEBRITY)
    return celebrities.filter(Q(celebrity_pin=False) | counted)
