"""Compare the timelines in Redis with the database.

A timeline is wrong if it lacks a post although it claims to be complete there, or if it holds a post of an author
who does not belong in it. Such a post is never shown, because visibility is decided at every read; it only takes
space and time. Deleted posts are no error: they are not removed from timelines, and readers skip them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from django.conf import settings

from accounts.models import CelebrityState, User
from feeds import timeline_store, visible_authors
from feeds.models import FanOut
from instafeed.core.cache import commands, keys
from instafeed.core.jobs.leased import JobState
from posts.models import Post
from social.models import Follow

RECHECK_DELAY = 0.5  # seconds until a suspect is checked again, because deliveries go on meanwhile


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """A wrong key, what is wrong with it, and the keys whose deletion repairs it."""

    key: str
    problem: str
    keys_to_evict: tuple[str, ...]

    def describe(self, *, repaired: bool) -> str:
        """Return the line that an operator reads."""
        return f"{self.key}: {self.problem}" + ("; deleted" if repaired else "")


Check = Callable[[], Inconsistency | None]
FilterAllowedAuthors = Callable[[Collection[int]], set[int]]  # returns those whose posts belong in the timeline


def cached_user_ids(kind: str) -> Iterator[int]:
    """Yield the user ids of the warm timelines of a kind, `feed` or `author`. Ids may repeat."""
    return map(keys.id_of, commands.scan(kind))


def find_inconsistencies(checks: Iterable[Check]) -> list[Inconsistency]:
    """Run the checks and, `RECHECK_DELAY` seconds later, those that failed. Return what the second run finds."""
    suspects = [check for check in checks if check()]
    if suspects:
        time.sleep(RECHECK_DELAY)
    return [inconsistency for check in suspects if (inconsistency := check())]


def run_checks(checks: Iterable[Check], *, repair: bool) -> list[Inconsistency]:
    """Return what the checks find. With `repair`, delete the wrong keys: the next read rebuilds them."""
    found = find_inconsistencies(checks)
    if repair:
        for inconsistency in found:
            timeline_store.evict(inconsistency.keys_to_evict)
    return found


def warm_timeline_checks(user_ids: Sequence[int]) -> list[Check]:
    """Return the checks of those home and author timelines of these users that are in Redis."""
    checks = [
        *(([keys.home_timeline(user_id)], partial(check_home_timeline, user_id)) for user_id in user_ids),
        *((keys.author_timelines(user_id), partial(check_author_timeline, user_id)) for user_id in user_ids),
    ]
    warm = commands.run_unguarded([("EXISTS", *copies) for copies, _ in checks])
    return [check for (_, check), count in zip(checks, warm, strict=True) if count]


def check_home_timeline(viewer_id: int) -> Inconsistency | None:
    """Check a viewer's visible authors and home timeline. A cold timeline is consistent."""
    authors = visible_authors.load(viewer_id)
    # Posts of demoting authors may be missing: their followers still pull them.
    pulled_states = (CelebrityState.CELEBRITY, CelebrityState.DEMOTING)
    pushed_ids = [author_id for author_id, state in authors.items() if state not in pulled_states]
    return _check_visible_authors(viewer_id, set(authors)) or _check_timeline(
        keys.home_timeline(viewer_id), pushed_ids, lambda author_ids: _allowed_in_home_timeline(viewer_id, author_ids)
    )


def check_author_timeline(author_id: int) -> Inconsistency | None:
    """Check the copies of an author timeline. Return what is wrong with the first wrong one."""
    checks = (_check_timeline(key, [author_id], lambda _: {author_id}) for key in keys.author_timelines(author_id))
    return next(filter(None, checks), None)


def check_celebrity_set() -> Inconsistency | None:
    """Check that the copies of the celebrity set have exactly the authors whose posts are pulled."""
    return next(filter(None, map(_check_celebrity_set, keys.all_buckets())), None)


def _check_celebrity_set(bucket: int) -> Inconsistency | None:
    key = keys.celebrities(bucket)
    cached = _fetch_id_set(key)
    pulled = set(User.objects.exclude(celebrity_state=CelebrityState.ORDINARY).values_list("pk", flat=True))
    if 0 not in cached or cached == pulled | {0}:
        return None
    problem = f"lacks {len(pulled - cached)} celebrities and holds {len(cached - pulled - {0})} ordinary authors"
    return Inconsistency(key, problem, tuple(visible_authors.celebrity_cache_keys()))


def _fetch_id_set(key: str) -> set[int]:
    (members,) = commands.run_unguarded([("SMEMBERS", key)])
    return set(map(int, members))


def _check_visible_authors(viewer_id: int, author_ids: set[int]) -> Inconsistency | None:
    key = keys.visible_authors(viewer_id)
    cached = _fetch_id_set(key)
    if 0 not in cached or cached - {0} == author_ids:
        return None
    keys_to_evict = tuple(visible_authors.home_timeline_keys([viewer_id]))
    return Inconsistency(key, "differs from the follows, mutes and blocks", keys_to_evict)


def _allowed_in_home_timeline(viewer_id: int, author_ids: Collection[int]) -> set[int]:
    """Return the followees among the authors, and the viewer. Muted ones belong: their posts are hidden at read."""
    follows = Follow.objects.filter(follower_id=viewer_id, followee_id__in=author_ids)
    return {viewer_id, *follows.values_list("followee_id", flat=True)}


def _check_timeline(
    key: str, complete_for: list[int], filter_allowed_authors: FilterAllowedAuthors
) -> Inconsistency | None:
    timeline = timeline_store.peek(key)
    if timeline is None:
        return None
    posts = Post.objects.filter(author_id__in=complete_for, pk__gt=timeline.floor, deleted_at=None).order_by("-pk")
    expected = set(posts.values_list("pk", flat=True)[: 2 * settings.FEED_LENGTH])
    held = set(timeline.ids)
    problems = []
    if missing := _exclude_in_delivery(expected - held):
        problems.append(f"lacks {len(missing)} posts, the newest {max(missing)}")
    if foreign := _find_foreign_posts(held - expected, filter_allowed_authors):
        problems.append(f"holds {len(foreign)} posts that do not belong there, the newest {max(foreign)}")
    return Inconsistency(key, " and ".join(problems), (key,)) if problems else None


def _exclude_in_delivery(missing: set[int]) -> set[int]:
    """Return the posts whose fan-out is done or a dead letter; the others may still arrive."""
    in_delivery = FanOut.objects.filter(pk__in=missing, state__in=[JobState.PENDING, JobState.RUNNING])
    return missing - set(in_delivery.values_list("pk", flat=True))


def _find_foreign_posts(unexpected: set[int], filter_allowed_authors: FilterAllowedAuthors) -> set[int]:
    """Return the posts of authors who do not belong in the timeline.

    Ignore inactive authors: an erasure deletes an account's follows and posts at different times.
    """
    existing = Post.objects.filter(pk__in=unexpected, deleted_at=None, author__is_active=True)
    author_by_post = dict(existing.values_list("pk", "author_id"))
    allowed = filter_allowed_authors(set(author_by_post.values()))
    return {post_id for post_id, author_id in author_by_post.items() if author_id not in allowed}
