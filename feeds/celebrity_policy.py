"""Which authors should be celebrities, and which should be promoted or demoted."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q, QuerySet

from accounts.models import CelebrityState, User

DEMOTION_RATIO = 0.9  # of the threshold: an author whose count varies around the threshold is not moved each time


def should_be_celebrity(user: User) -> bool:
    """Return what an operator's pin says, else whether the follower count reaches the threshold, with hysteresis."""
    if user.celebrity_pin is not None:
        return user.celebrity_pin
    if user.follower_count >= settings.CELEBRITY_THRESHOLD:
        return True
    return is_celebrity_or_promoting(user) and user.follower_count >= DEMOTION_RATIO * settings.CELEBRITY_THRESHOLD


def needs_transition(user: User) -> bool:
    """Return whether the user should be promoted or demoted, and neither is under way."""
    return should_be_celebrity(user) != is_celebrity_or_promoting(user)


def is_celebrity_or_promoting(user: User) -> bool:
    return user.celebrity_state in (CelebrityState.PROMOTING, CelebrityState.CELEBRITY)


def authors_to_promote(threshold: int | None = None) -> QuerySet[User]:
    """Return the ordinary authors who should be celebrities: `should_be_celebrity` as a query."""
    has_followers = Q(celebrity_pin=None, follower_count__gte=threshold or settings.CELEBRITY_THRESHOLD)
    ordinary = User.objects.filter(celebrity_state=CelebrityState.ORDINARY)
    return ordinary.filter(Q(celebrity_pin=True) | has_followers)


def authors_to_demote(threshold: int | None = None) -> QuerySet[User]:
    """Return the celebrities who should be ordinary authors: the reverse of `should_be_celebrity` as a query."""
    demotion_threshold = DEMOTION_RATIO * (threshold or settings.CELEBRITY_THRESHOLD)
    lacks_followers = Q(celebrity_pin=None, follower_count__lt=demotion_threshold)
    celebrities = User.objects.filter(celebrity_state=CelebrityState.CELEBRITY)
    return celebrities.filter(Q(celebrity_pin=False) | lacks_followers)


def count_misplaced(threshold: int | None = None) -> tuple[int, int]:
    """Return how many authors should be promoted and how many demoted."""
    return authors_to_promote(threshold).count(), authors_to_demote(threshold).count()
