"""The personal data of feeds: timelines and outbox rows, all derived from follows and posts.

See `accounts.personal_data_registry`. Nothing is exported, because the follows and posts themselves are.
"""

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
    """Return the keys of the user's timelines and visible authors, and of the celebrities if the user is one."""
    was_pulled = User.objects.using("default").exclude(celebrity_state=CelebrityState.ORDINARY).filter(pk=user_id)
    celebrity_keys = visible_authors.celebrity_cache_keys() if was_pulled.exists() else ()
    return *keys.author_timelines(user_id), *visible_authors.home_timeline_keys([user_id]), *celebrity_keys


def register_categories() -> None:
    register(
        PersonalDataCategory("fan_outs", ["feeds.FanOut.author"], erase=erase_fan_outs),
        redis_keys=redis_keys,
    )
