"""Promote authors to pull delivery and demote them to push delivery. No post is missing or appears twice meanwhile.

The state in the database leads and changes one step at a time. The celebrity set in Redis is a cache of the
authors who are not ordinary.

    ordinary    posts are pushed
      ↓ promoting   posts are pushed; followers pull the author timeline as well
    celebrity   posts are pulled
      ↓ demoting    posts are pushed; followers pull the author timeline as well
    ordinary

* A post locks its author's row before it decides between push and pull, and each step updates that row. So all
  posts under the old state are committed before a step is.
* Promotion: every reader must know of the celebrity before the first post is not pushed. So the cached set is
  deleted between the two steps; if that fails, the second step does not happen.
* Demotion: warm home timelines lack the posts that were only pulled. So those of all followers are deleted between
  the two steps.
* `celebrity_since` is the token of a transition: a worker that was suspended during later transitions cannot
  finish its own.

Functions work on many authors at once. They raise redis.RedisError when Redis is down. Feeds are right in the
transitional states too; `resume_transitions` finishes the transition later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
from social.selectors import fetch_follower_pages

FOLLOWER_PAGE_SIZE = 1_000  # followers whose home timelines one call deletes
TRANSITION_BATCH_SIZE = 500  # authors


@dataclass(frozen=True, slots=True)
class ReclassifyResult:
    """How many authors were promoted and demoted."""

    promoted: int
    demoted: int


@dataclass(frozen=True, slots=True)
class MovedBatch:
    """A batch of authors who were promoted or demoted."""

    last_id: int  # the highest id of the batch: where a later run goes on
    moved: int


def reconcile_author(author_id: int) -> None:
    """Finish a transition of the author, then promote or demote the author if the policy says so."""
    resume_transitions([author_id])
    if not promote([author_id], celebrity_policy.authors_to_promote()):
        demote([author_id], celebrity_policy.authors_to_demote())


def promote(author_ids: Iterable[int], eligible: QuerySet[User] | None = None) -> int:
    """Promote the given authors to pull delivery. Return the number promoted.

    Skip authors who are not, or no longer, in `eligible`: by default all except those pinned to push.
    """
    authors = User.objects.exclude(celebrity_pin=False) if eligible is None else eligible
    since = timezone.now()
    begun_ids = change_state(authors.filter(pk__in=list(author_ids)), State.ORDINARY, State.PROMOTING, since=since)
    return finish_promotion(begun_ids, since)


def demote(author_ids: Iterable[int], eligible: QuerySet[User] | None = None) -> int:
    """Demote the given authors to push delivery. Return the number demoted.

    Skip authors who are not, or no longer, in `eligible`: by default all except those pinned to pull.
    """
    authors = User.objects.exclude(celebrity_pin=True) if eligible is None else eligible
    since = timezone.now()
    begun_ids = change_state(authors.filter(pk__in=list(author_ids)), State.CELEBRITY, State.DEMOTING, since=since)
    return finish_demotion(begun_ids, since)


def begin_transition(author_id: int) -> None:
    """Take the first step of a transition that a moderator's pin asks for, in the transaction of the pin.

    `resume_transitions` finds the author even if the task is lost. A transition that is already under way in the
    other direction is reversed: in both transitional states, posts are pushed and pulled.
    """
    author = User.objects.select_for_update(no_key=True).get(pk=author_id)
    if celebrity_policy.needs_transition(author):
        is_promoted = celebrity_policy.is_celebrity_or_promoting(author)
        after = State.DEMOTING if is_promoted else State.PROMOTING
        before = State(author.celebrity_state)
        change_state(User.objects.filter(pk=author_id), before, after, since=timezone.now())


def resume_transitions(author_ids: Sequence[int] | None = None) -> int:
    """Finish the transitions of these authors, or of all, that were begun and not finished. Return the number."""
    transitional = User.objects.filter(celebrity_state__in=[State.PROMOTING, State.DEMOTING])
    if author_ids is not None:
        transitional = transitional.filter(pk__in=author_ids)
    finished = 0
    for author_id, state, since in transitional.values_list("pk", "celebrity_state", "celebrity_since"):
        finish = finish_promotion if state == State.PROMOTING else finish_demotion
        finished += finish([author_id], since)
    return finished


def reclassify(
    threshold: int | None = None,
    *,
    progress: Callable[[int], None] = lambda _: None,
    batch_size: int = TRANSITION_BATCH_SIZE,
) -> ReclassifyResult:
    """Promote and demote all authors as the policy says, by CELEBRITY_THRESHOLD unless `threshold` is given.

    Call `progress` with the number of authors of each batch.
    """
    resume_transitions()
    totals = []
    for move_batches in (promote_batches, demote_batches):
        totals.append(0)
        for batch in move_batches(threshold, batch_size=batch_size):
            totals[-1] += batch.moved
            progress(batch.moved)
    return ReclassifyResult(*totals)


def promote_batches(threshold: int | None = None, *, after: int = 0, batch_size: int) -> Iterator[MovedBatch]:
    """Promote the authors with ids above `after` as `reclassify` does. Yield each batch when it is done."""
    return _move_batches(celebrity_policy.authors_to_promote(threshold), promote, after, batch_size)


def demote_batches(threshold: int | None = None, *, after: int = 0, batch_size: int) -> Iterator[MovedBatch]:
    """Demote the authors with ids above `after` as `reclassify` does. Yield each batch when it is done."""
    return _move_batches(celebrity_policy.authors_to_demote(threshold), demote, after, batch_size)


def _move_batches(
    eligible: QuerySet[User], move: Callable[[Iterable[int], QuerySet[User]], int], after: int, batch_size: int
) -> Iterator[MovedBatch]:
    ids = eligible.order_by("pk").values_list("pk", flat=True)
    while batch := list(ids.filter(pk__gt=after)[:batch_size]):
        after = batch[-1]
        yield MovedBatch(after, move(batch, eligible))


def finish_promotion(author_ids: Sequence[int], since: datetime | None) -> int:
    """Take the second step of the promotions that began at `since`. Return the number of authors promoted."""
    if not author_ids:
        return 0
    timeline_store.evict(visible_authors.celebrity_cache_keys())  # must succeed before the second step
    return len(change_state(_in_transition(author_ids, since), State.PROMOTING, State.CELEBRITY))


def finish_demotion(author_ids: Sequence[int], since: datetime | None) -> int:
    """Take the second step of the demotions that began at `since`. Return the number of authors demoted."""
    for author_id in author_ids:
        evict_follower_timelines(author_id)
    return len(change_state(_in_transition(author_ids, since), State.DEMOTING, State.ORDINARY))


def _in_transition(author_ids: Sequence[int], since: datetime | None) -> QuerySet[User]:
    return User.objects.filter(pk__in=author_ids, celebrity_since=since)


def change_state(authors: QuerySet[User], before: State, after: State, *, since: datetime | None = None) -> list[int]:
    """Change those of `authors` in state `before` to `after` and return their ids; `since` begins a transition.

    The filters of `authors` are evaluated under the row locks, so that a pin set a moment ago holds.
    """
    changes: dict[str, object] = {"celebrity_state": after}
    if since is not None:
        changes["celebrity_since"] = since
    with transaction.atomic():
        rows = authors.filter(celebrity_state=before).select_for_update(no_key=True).order_by("pk")
        changed_ids = list(rows.values_list("pk", flat=True))
        User.objects.filter(pk__in=changed_ids).update(**changes)
        if changed_ids:
            # User summaries show the status. A set that still has an author who just became ordinary does no harm.
            invalidate([*map(keys.user_summary, changed_ids), *visible_authors.celebrity_cache_keys()])
    return changed_ids


def evict_follower_timelines(author_id: int) -> None:
    """Delete the home timelines of an author and of all followers, page by page."""
    timeline_store.evict([keys.home_timeline(author_id)])
    last_follower_id = 0
    while follower_ids := fetch_follower_pages([(author_id, last_follower_id)], FOLLOWER_PAGE_SIZE)[0]:
        timeline_store.evict([keys.home_timeline(follower_id) for follower_id in follower_ids])
        last_follower_id = follower_ids[-1]
