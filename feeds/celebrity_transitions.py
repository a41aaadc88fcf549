"""Moving authors between push and pull without a post missing or doubled at any instant.

The state in the database leads, one step at a time; the celebrity set in Redis is a cache of "not ordinary".

    ordinary   posts pushed
      ↓ promoting   posts pushed; followers pull the author's list as well
    celebrity  posts pulled
      ↓ demoting    posts pushed again; followers still pull
    ordinary

* A post locks its author's row before it decides between push and pull, and each step is an update of that
  row: so all posts under the old state are committed before a step is.
* Promotion: every reader must know of the author before the first post goes unpushed, so the cached set
  is dropped between the two steps; should that fail, the second does not happen.
* Demotion: warm feeds lack what was only pulled, so all followers' feeds are dropped between the steps.
* `celebrity_since` is the token of a move: a mover that slept through somebody else's moves can't go on.

Everything works on many authors at once. Raises redis.RedisError when Redis is away: the authors stay
between two states, where nothing is wrong, until `resume_transitions` runs again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import CelebrityState as State
from accounts.models import User
from feeds import celebrity_policy, timeline_store, visible_authors
from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import invalidate
from social.selectors import fetch_follower_page

FOLLOWER_PAGE_SIZE = 1_000  # followers' feeds dropped in one call
TRANSITION_BATCH_SIZE = 500  # authors moved at once


@dataclass(frozen=True, slots=True)
class ReclassifyResult:
    """How many authors changed sides."""

    promoted: int
    demoted: int


def promote(author_ids: Iterable[int], among: QuerySet[User] | None = None) -> int:
    """From push to pull, who is still `among` these, or not pinned to push; returns how many moves were finished."""
    authors = User.objects.exclude(celebrity_pin=False) if among is None else among
    since = timezone.now()
    begun = _change_state(authors.filter(pk__in=list(author_ids)), State.ORDINARY, State.PROMOTING, since=since)
    return _finish_promotion(begun, since)


def demote(author_ids: Iterable[int], among: QuerySet[User] | None = None) -> int:
    """From pull to push, who is still `among` these, or not pinned to pull; returns how many moves were finished."""
    authors = User.objects.exclude(celebrity_pin=True) if among is None else among
    since = timezone.now()
    begun = _change_state(authors.filter(pk__in=list(author_ids)), State.CELEBRITY, State.DEMOTING, since=since)
    return _finish_demotion(begun, since)


def begin_transition(author_id: int) -> None:
    """Take the first step of an author who is on the wrong side by a moderator's word, in that word's transaction.

    So the word is never lost: `resume_transitions` finds whatever was begun. Who is half way turns round, as posts are both
    pushed and pulled in either state between.
    """
    author = User.objects.select_for_update(no_key=True).get(pk=author_id)
    if celebrity_policy.needs_transition(author):
        after = State.DEMOTING if celebrity_policy.is_celebrity_or_promoting(author) else State.PROMOTING
        _change_state(User.objects.filter(pk=author_id), State(author.celebrity_state), after, since=timezone.now())


def _finish_promotion(author_ids: Sequence[int], since: datetime | None) -> int:
    if not author_ids:
        return 0
    timeline_store.evict(visible_authors.CELEBRITY_CACHE_KEYS)  # must succeed first: see above
    return len(_change_state(_in_transition(author_ids, since), State.PROMOTING, State.CELEBRITY))


def _finish_demotion(author_ids: Sequence[int], since: datetime | None) -> int:
    for author_id in author_ids:
        _evict_follower_feeds(author_id)
    return len(_change_state(_in_transition(author_ids, since), State.DEMOTING, State.ORDINARY))


def _in_transition(author_ids: Sequence[int], since: datetime | None) -> QuerySet[User]:
    return User.objects.filter(pk__in=author_ids, celebrity_since=since)


def _change_state(authors: QuerySet[User], before: State, after: State, *, since: datetime | None = None) -> list[int]:
    """Those of `authors` that were in state `before` and are in `after` now; `since` begins a move.

    Who they are is asked again under the lock: a pin that was set a moment ago holds.
    """
    changes: dict[str, object] = {"celebrity_state": after}
    if since is not None:
        changes["celebrity_since"] = since
    with transaction.atomic():
        rows = authors.filter(celebrity_state=before).select_for_update(no_key=True).order_by("pk")
        moved = list(rows.values_list("pk", flat=True))
        User.objects.filter(pk__in=moved).update(**changes)
        if moved:
            # Clients are told on author cards; the set lags harmlessly when an author leaves it.
            invalidate([*map(keys.user_summary, moved), *visible_authors.CELEBRITY_CACHE_KEYS])
    return moved


def _evict_follower_feeds(author_id: int) -> None:
    timeline_store.evict([keys.home_timeline(author_id)])
    last = 0
    while page := fetch_follower_page(author_id, last, FOLLOWER_PAGE_SIZE):
        timeline_store.evict([keys.home_timeline(follower_id) for follower_id in page])
        last = page[-1]


def reconcile_author(author_id: int) -> None:
    """Finish a move of this author, then move it if it is on the wrong side of the line."""
    resume_transitions([author_id])
    if not promote([author_id], celebrity_policy.authors_to_promote()):
        demote([author_id], celebrity_policy.authors_to_demote())


def resume_transitions(author_ids: Sequence[int] | None = None) -> int:
    """Finish what a mover left between two states, for all authors unless some are named."""
    moving = User.objects.filter(celebrity_state__in=[State.PROMOTING, State.DEMOTING])
    if author_ids is not None:
        moving = moving.filter(pk__in=author_ids)
    finished = 0
    for author_id, state, since in moving.values_list("pk", "celebrity_state", "celebrity_since"):
        finish = _finish_promotion if state == State.PROMOTING else _finish_demotion
        finished += finish([author_id], since)
    return finished


def reclassify(
    threshold: int | None = None,
    *,
    progress: Callable[[int], None] = lambda _: None,
    at_once: int = TRANSITION_BATCH_SIZE,
) -> ReclassifyResult:
    """Move everybody who is on the wrong side of the line; `progress` is told how many were moved just now."""
    resume_transitions()
    promoted = _transition_all(celebrity_policy.authors_to_promote(threshold), promote, progress, at_once)
    demoted = _transition_all(celebrity_policy.authors_to_demote(threshold), demote, progress, at_once)
    return ReclassifyResult(promoted, demoted)


def _transition_all(
    misplaced: QuerySet[User],
    move: Callable[[Iterable[int], QuerySet[User]], int],
    progress: Callable[[int], None],
    at_once: int,
) -> int:
    author_ids = list(misplaced.order_by("pk").values_list("pk", flat=True))
    moved = 0
    for start in range(0, len(author_ids), at_once):
        count = move(author_ids[start : start + at_once], misplaced)
        moved += count
        progress(count)
    return moved
