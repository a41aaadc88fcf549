"""What feeds hold about a user: nothing that is not made of follows and posts (see `accounts.personal_data_registry`)."""

from __future__ import annotations

from collections.abc import Iterable

from accounts.models import CelebrityState, User
from accounts.personal_data_registry import PersonalDataCategory, erase_rows, register
from feeds import visible_authors
from feeds.models import FanOut
from instafeed.core.cache import keys


def erase_fan_outs(user_id: int) -> bool:
    return erase_rows(FanOut.objects.filter(author=user_id))


def redis_keys(user_id: int) -> Iterable[str]:
    """The user's feed, own posts and sources, and the celebrity set, if the user is in it."""
    was_pulled = User.objects.using("default").exclude(celebrity_state=CelebrityState.ORDINARY).filter(pk=user_id)
    celebrities = visible_authors.CELEBRITY_CACHE_KEYS if was_pulled.exists() else ()
    return keys.author_timeline(user_id), *visible_authors.home_feed_keys([user_id]), *celebrities


def declare() -> None:
    register(PersonalDataCategory("fan_outs", ["feeds.FanOut.author"], erase=erase_fan_outs), redis_keys=redis_keys)
