"""Comparing what Redis holds with what the database says.

A list is wrong if it lacks a post that it claims to be complete for, or holds one by somebody who has no place in it.
The latter is filtered at every read, so it costs room and time only. Posts that are gone are no mistake: nobody takes
them out of lists, and readers skip them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from django.conf import settings

from accounts.models import CelebrityState, User
from feeds import timeline_store, visible_authors
from feeds.models import FanOut, State
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from posts.models import Post
from social.models import Follow

RECHECK_DELAY = 0.5  # seconds after which what looked wrong is looked at again: deliveries go on meanwhile


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """A key that is wrong, why, and what to drop to mend it."""

    key: str
    problem: str
    drop: tuple[str, ...]


Check = Callable[[], Inconsistency | None]
AllowedAuthors = Callable[[Collection[int]], set[int]]  # of these authors, those whose posts may be in a list


def cached_user_ids(prefix: str) -> Iterator[int]:
    """The user ids of the warm lists of one kind; SCAN, so Redis is never blocked and some may come twice."""
    for key in get_client().scan_iter(match=f"{prefix}*", count=1_000):
        yield int(key[len(prefix) :])


def find_inconsistencies(looks: Iterable[Check]) -> list[Inconsistency]:
    """What is wrong at a first look and, `RECHECK_DELAY` seconds later, at a second."""
    suspects = [look for look in looks if look()]
    if suspects:
        time.sleep(RECHECK_DELAY)
    return [drift for look in suspects if (drift := look())]


def check_home_timeline(viewer_id: int) -> Inconsistency | None:
    """What is wrong with a viewer's feed and sources, if anything; a cold feed is right."""
    authors = visible_authors.load(viewer_id)
    # Those of an author on the way back to push are still pulled.
    pushed = [id_ for id_, state in authors.items() if state not in (CelebrityState.CELEBRITY, CelebrityState.DEMOTING)]
    return _check_visible_authors(viewer_id, set(authors)) or _check_timeline(
        keys.home_timeline(viewer_id), pushed, lambda others: _allowed_in_home_timeline(viewer_id, others)
    )


def check_author_timeline(author_id: int) -> Inconsistency | None:
    """What is wrong with an author's own list, if anything."""
    return _check_timeline(keys.author_timeline(author_id), [author_id], lambda _: {author_id})


def check_celebrity_set() -> Inconsistency | None:
    """Whether readers know of every author that is pulled, and of no other."""
    cached = {int(member) for member in get_client().smembers(keys.CELEBRITIES)}
    pulled = set(User.objects.exclude(celebrity_state=CelebrityState.ORDINARY).values_list("pk", flat=True))
    if 0 not in cached or cached == pulled | {0}:
        return None
    problem = f"lacks {len(pulled - cached)} authors and holds {len(cached - pulled - {0})} that are none"
    return Inconsistency(keys.CELEBRITIES, problem, tuple(visible_authors.CELEBRITY_CACHE_KEYS))


def _allowed_in_home_timeline(viewer_id: int, authors: Collection[int]) -> set[int]:
    """Those of `authors` whose posts may be in the list: the muted are pushed, too, and filtered when it is read."""
    follows = Follow.objects.filter(follower_id=viewer_id, followee_id__in=authors)
    return {viewer_id, *follows.values_list("followee_id", flat=True)}


def _check_visible_authors(viewer_id: int, authors: set[int]) -> Inconsistency | None:
    key = keys.visible_authors(viewer_id)
    cached = {int(member) for member in get_client().smembers(key)}
    if 0 not in cached or cached - {0} == authors:
        return None
    return Inconsistency(
        key, "differs from the follows, mutes and blocks", tuple(visible_authors.home_timeline_keys([viewer_id]))
    )


def _check_timeline(key: str, complete_for: list[int], welcome: AllowedAuthors) -> Inconsistency | None:
    timeline = timeline_store.peek(key)
    if timeline is None:
        return None
    posts = Post.objects.filter(author_id__in=complete_for, pk__gt=timeline.floor, deleted_at=None).order_by("-pk")
    due, held = set(posts.values_list("pk", flat=True)[: 2 * settings.FEED_LENGTH]), set(timeline.ids)
    problems = []
    if missing := _exclude_in_delivery(due - held):
        problems.append(f"lacks {len(missing)} posts, the newest {max(missing)}")
    if foreign := _find_foreign_posts(held - due, welcome):
        problems.append(f"holds {len(foreign)} posts that do not belong there, the newest {max(foreign)}")
    return Inconsistency(key, " and ".join(problems), (key,)) if problems else None


def _exclude_in_delivery(missing: set[int]) -> set[int]:
    """Without what is on its way; a dead letter is not."""
    if not missing:
        return missing
    on_their_way = FanOut.objects.filter(pk__in=missing, state__in=[State.PENDING, State.RUNNING])
    return missing - set(on_their_way.values_list("pk", flat=True))


def _find_foreign_posts(unexpected: set[int], welcome: AllowedAuthors) -> set[int]:
    """Posts of authors without access are left out: an erasure takes follows and posts at different times."""
    if not unexpected:
        return unexpected
    there = Post.objects.filter(pk__in=unexpected, deleted_at=None, author__is_active=True)
    author_of = dict(there.values_list("pk", "author_id"))
    allowed = welcome(set(author_of.values()))
    return {post_id for post_id, author_id in author_of.items() if author_id not in allowed}
