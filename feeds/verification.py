"""Comparing what Redis holds with what the database says.

A list is wrong if it lacks a post that it claims to be complete for. What it holds too much (deleted posts,
authors no longer followed) is filtered at every read and counted only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.conf import settings

from accounts.models import CelebrityState, User
from feeds import sources, store
from feeds.models import FanOut, State
from instafeed import keys
from instafeed.redis import connection
from posts.models import Post

SECOND_LOOK = 0.5  # seconds after which what looked wrong is looked at again: deliveries go on meanwhile


@dataclass(frozen=True, slots=True)
class Drift:
    """A key that is wrong, why, and what to drop to mend it."""

    key: str
    problem: str
    drop: tuple[str, ...]


def warm_ids(prefix: str) -> Iterator[int]:
    """The user ids of the warm lists of one kind; SCAN, so Redis is never blocked and some may come twice."""
    for key in connection().scan_iter(match=f"{prefix}*", count=1_000):
        yield int(key[len(prefix) :])


def check_feed(viewer_id: int) -> Drift | None:
    """What is wrong with a viewer's feed and sources, if anything; a cold feed is right."""
    return _twice(lambda: _check_sources(viewer_id) or _check_list(keys.feed(viewer_id), _pushed_to(viewer_id)))


def check_author(author_id: int) -> Drift | None:
    """What is wrong with an author's own list, if anything."""
    return _twice(lambda: _check_list(keys.author(author_id), [author_id]))


def check_celebrities() -> Drift | None:
    """Whether readers know of every author that is pulled."""
    return _twice(_check_celebrities)


def _twice(check: Callable[[], Drift | None]) -> Drift | None:
    if check() is None:
        return None
    time.sleep(SECOND_LOOK)
    return check()


def _pushed_to(viewer_id: int) -> list[int]:
    authors = sources.load(viewer_id)
    return [author for author, state in authors.items() if state != CelebrityState.CELEBRITY]


def _check_sources(viewer_id: int) -> Drift | None:
    key = keys.sources(viewer_id)
    cached = {int(member) for member in connection().smembers(key)}
    if 0 not in cached or cached - {0} == set(sources.load(viewer_id)):
        return None
    return Drift(key, "differs from the follows, mutes and blocks", tuple(sources.keys_of([viewer_id])))


def _check_list(key: str, author_ids: list[int]) -> Drift | None:
    timeline = store.peek(key)
    if timeline is None:
        return None
    most = 2 * settings.FEED_LENGTH
    posts = Post.objects.filter(author_id__in=author_ids, pk__gt=timeline.floor).order_by("-pk")
    missing = set(posts.values_list("pk", flat=True)[:most]) - set(timeline.ids)
    if missing:
        # On its way is not missing; a dead letter is.
        on_their_way = FanOut.objects.filter(pk__in=missing, state__in=[State.PENDING, State.RUNNING])
        missing -= set(on_their_way.values_list("pk", flat=True))
    if not missing:
        return None
    return Drift(key, f"lacks {len(missing)} posts, the newest {max(missing)}", (key,))


def _check_celebrities() -> Drift | None:
    cached = {int(member) for member in connection().smembers(keys.CELEBRITIES)}
    pulled = set(User.objects.exclude(celebrity_state=CelebrityState.ORDINARY).values_list("pk", flat=True))
    if 0 not in cached or pulled <= cached:
        return None
    problem = f"lacks {len(pulled - cached)} authors"
    return Drift(keys.CELEBRITIES, problem, tuple(sources.CELEBRITY_KEYS))
