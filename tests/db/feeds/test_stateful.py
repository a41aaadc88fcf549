"""The contract of feeds: after any sequence of events, every viewer's whole feed equals that of a plain model.

Hypothesis generates follows, requests, blocks, mutes, posts, deletions, suspensions, celebrity transitions (also
interrupted ones), late and repeated deliveries, and losses of cached keys. The model is sets and a list in memory.
At the end every viewer's feed is read in every page size.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import hypothesis
import pytest
from django.db import connection as database
from django.db.models.functions import Now
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings

from accounts import services as accounts
from accounts.models import User
from feeds import celebrity_policy, celebrity_transitions, timeline, visible_authors
from feeds.models import FanOut
from feeds.timeline_store import evict
from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import DELETE_FINISHED_SQL, take_finished
from instafeed.core.jobs.leased import JobState
from posts import services as posts
from posts.counter_repair import COUNTER_REPAIRS
from social import services as social
from social.counter_rollup import roll_up
from social.errors import RelationError
from tests.db.feeds.feed_setup import deliver, deliver_all
from tests.support.cache import flush_cache
from tests.support.database_cleanup import empty_database
from tests.support.partitioned import partition_by_moments, restore_partitions

USERS = 5
PAGE_SIZES = (1, 2, 3, 5, 100)
user_numbers = st.integers(0, USERS - 1)


class Model:
    """The expected feeds, computed in the simplest way."""

    def __init__(self) -> None:
        self.follows: set[tuple[int, int]] = set()  # follower, followee
        self.requests: set[tuple[int, int]] = set()
        self.blocks: set[tuple[int, int]] = set()
        self.mutes: set[tuple[int, int]] = set()
        self.private: set[int] = set()
        self.suspended: set[int] = set()
        self.posts: list[tuple[int, int]] = []  # id, author

    def is_blocked_either_way(self, one: int, other: int) -> bool:
        return bool({(one, other), (other, one)} & self.blocks)

    def sees(self, viewer: int, author: int) -> bool:
        if author in self.suspended:
            return False
        if viewer == author:
            return True
        return (
            (viewer, author) in self.follows
            and (viewer, author) not in self.mutes
            and not self.is_blocked_either_way(viewer, author)
        )

    def feed(self, viewer: int) -> list[int]:
        return sorted((id_ for id_, author in self.posts if self.sees(viewer, author)), reverse=True)


class FeedMachine(RuleBasedStateMachine):
    allows_pins = False  # set by the mode
    has_partitions = False  # set by the mode

    @initialize(
        private=st.sets(user_numbers, max_size=2), follows=st.sets(st.tuples(user_numbers, user_numbers), max_size=12)
    )
    def begin(self, private: set[int], follows: set[tuple[int, int]]) -> None:
        _empty_database_and_redis()
        self.model = Model()
        self.users = [User.objects.create_user(f"user{number}") for number in range(USERS)]
        self.ids = [user.pk for user in self.users]
        for pair in sorted(follows):
            self.follow(*pair)
        for number in sorted(private):
            self.turn_private(number)
        if self.has_partitions:
            self._post_to_three_partitions()
        self.checked = True

    checked = False

    def teardown(self) -> None:
        # Not after a failure: a second failure, of a machine that was cut short by shrinking, would hide the first.
        if self.checked:
            self.check_all_feeds()
            _assert_counts_exact()

    # --- The graph ---

    @rule(follower=user_numbers, followee=user_numbers)
    def follow(self, follower: int, followee: int) -> None:
        self.read_all_feeds()  # cached data of that time must not survive the follow
        model = self.model
        pair = (follower, followee)
        with contextlib.suppress(RelationError):
            social.follow(self.ids[follower], self.ids[followee])
        if follower == followee or model.is_blocked_either_way(*pair) or {follower, followee} & model.suspended:
            return
        if pair not in model.follows:
            (model.requests if followee in model.private else model.follows).add(pair)

    @rule(follower=user_numbers, followee=user_numbers)
    def unfollow(self, follower: int, followee: int) -> None:
        with contextlib.suppress(RelationError):
            social.unfollow(self.ids[follower], self.ids[followee])
        self.model.follows.discard((follower, followee))
        self.model.requests.discard((follower, followee))

    @precondition(lambda self: self.model.requests)
    @rule(data=st.data(), accepted=st.booleans())
    def answer(self, data: st.DataObject, accepted: bool) -> None:
        follower, followee = data.draw(st.sampled_from(sorted(self.model.requests)))
        if {follower, followee} & self.model.suspended:
            return
        answer = social.accept_request if accepted else social.reject_request
        answer(self.ids[followee], self.ids[follower])
        self.model.requests.discard((follower, followee))
        if accepted:
            self.model.follows.add((follower, followee))

    @rule(owner=user_numbers, follower=user_numbers)
    def remove_follower(self, owner: int, follower: int) -> None:
        with contextlib.suppress(RelationError):
            social.remove_follower(self.ids[owner], self.ids[follower])
        self.model.follows.discard((follower, owner))

    @rule(blocker=user_numbers, blocked=user_numbers)
    def block(self, blocker: int, blocked: int) -> None:
        if blocker == blocked or {blocker, blocked} & self.model.suspended or (blocked, blocker) in self.model.blocks:
            return  # an invisible user cannot be blocked
        social.block(self.ids[blocker], self.ids[blocked])
        self.model.blocks.add((blocker, blocked))
        for pair in ((blocker, blocked), (blocked, blocker)):
            self.model.follows.discard(pair)
            self.model.requests.discard(pair)

    @precondition(lambda self: self.model.blocks)
    @rule(data=st.data())
    def unblock(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(sorted(self.model.blocks)))
        if set(pair) & self.model.suspended:
            return
        social.unblock(*(self.ids[number] for number in pair))
        self.model.blocks.discard(pair)

    @rule(muter=user_numbers, muted=user_numbers)
    def mute(self, muter: int, muted: int) -> None:
        if muter == muted or {muter, muted} & self.model.suspended or (muted, muter) in self.model.blocks:
            return
        social.mute(self.ids[muter], self.ids[muted])
        self.model.mutes.add((muter, muted))

    @precondition(lambda self: self.model.mutes)
    @rule(data=st.data())
    def unmute(self, data: st.DataObject) -> None:
        muter, muted = data.draw(st.sampled_from(sorted(self.model.mutes)))
        if {muter, muted} & self.model.suspended or (muted, muter) in self.model.blocks:
            return
        social.unmute(self.ids[muter], self.ids[muted])
        self.model.mutes.discard((muter, muted))

    # --- Accounts ---

    @rule(number=user_numbers)
    def turn_private(self, number: int) -> None:
        accounts.update_profile(self.ids[number], {"is_private": True})
        self.model.private.add(number)

    @rule(number=user_numbers)
    def turn_public(self, number: int) -> None:
        """Accept all pending requests."""
        accounts.update_profile(self.ids[number], {"is_private": False})
        self.model.private.discard(number)
        accepted_pairs = {pair for pair in self.model.requests if pair[1] == number}
        self.model.requests -= accepted_pairs
        self.model.follows |= accepted_pairs

    @rule(number=user_numbers)
    def suspend_or_reinstate(self, number: int) -> None:
        if number in self.model.suspended:
            accounts.reinstate(self.ids[number])
            self.model.suspended.discard(number)
        else:
            accounts.suspend(self.ids[number])
            self.model.suspended.add(number)

    # --- Posts and their deliveries ---

    @rule(author=user_numbers, count=st.integers(1, 4))
    def post(self, author: int, count: int) -> None:
        for _ in range(count):
            created = posts.create_post(self.ids[author], "text")
            self.model.posts.append((created.pk, author))

    def _post_to_three_partitions(self) -> None:
        """Each partition is twice as long as the one before, so a fast and a slow machine come to the third one."""
        partition_by_moments(timedelta(milliseconds=50), 12, growth=2)
        while _count_partitions() < 3:
            self.post(0, 1)
            with database.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.05)")  # so that few posts are enough

    @rule(author=user_numbers, count=st.integers(2, 6))
    def post_to_warm_feeds(self, author: int, count: int) -> None:
        """Fill timelines beyond their length while they are warm, which random steps rarely do."""
        self.read_all_feeds()
        self.post(author, count)
        deliver_all()

    @precondition(lambda self: self.model.posts)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.model.posts))
        assert posts.delete_post(chosen[0], self.ids[chosen[1]])
        self.model.posts.remove(chosen)

    @precondition(lambda self: self.model.posts)
    @rule(data=st.data())
    def hide_and_restore(self, data: st.DataObject) -> None:
        post_id, author = data.draw(st.sampled_from(self.model.posts))
        assert posts.hide_post(post_id)
        self.model.posts.remove((post_id, author))
        self.check_all_feeds()
        assert posts.restore_post(post_id)
        self.model.posts.append((post_id, author))

    @rule(data=st.data())
    def deliver_one(self, data: st.DataObject) -> None:
        """Deliver a slice of any pending post, not only of the oldest."""
        pending = sorted(FanOut.objects.filter(state=JobState.PENDING).values_list("pk", flat=True))
        if pending:
            deliver(data.draw(st.sampled_from(pending)))

    @precondition(lambda self: self.model.posts)
    @rule(data=st.data(), from_the_start=st.booleans())
    def deliver_again(self, data: st.DataObject, from_the_start: bool) -> None:
        """Deliver after a redelivered task, or after a worker that died before its checkpoint."""
        post_id, _ = data.draw(st.sampled_from(self.model.posts))
        if from_the_start:
            FanOut.objects.filter(pk=post_id).update(state=JobState.PENDING, due_at=Now(), last_follower_id=0)
        deliver(post_id)

    # --- Celebrity transitions ---

    @rule(number=user_numbers)
    def reconcile(self, number: int) -> None:
        roll_up()
        celebrity_transitions.reconcile_author(self.ids[number])

    @rule(number=user_numbers, pin=st.sampled_from([True, False, None]))
    def pin(self, number: int, pin: bool | None) -> None:
        User.objects.filter(pk=self.ids[number]).update(celebrity_pin=pin)
        if self.allows_pins:
            celebrity_transitions.reconcile_author(self.ids[number])
        else:
            User.objects.filter(pk=self.ids[number]).update(celebrity_pin=None)

    @precondition(lambda self: self.allows_pins)
    @rule(number=user_numbers, count=st.integers(1, 3))
    def promote_and_demote(self, number: int, count: int) -> None:
        """Promote an author, create posts that are only pulled, and demote the author, with reads in between."""
        for pin in (True, False):
            self.pin(number, pin)
            self.post_to_warm_feeds(number, count)
        self.read_all_feeds()

    @rule(number=user_numbers, read_between_steps=st.booleans())
    def interrupt_transition(self, number: int, read_between_steps: bool) -> None:
        """Let the worker die between the two steps of a transition."""
        roll_up()
        user = User.objects.get(pk=self.ids[number])
        if celebrity_policy.needs_transition(user):
            finish = "finish_promotion" if celebrity_policy.should_be_celebrity(user) else "finish_demotion"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(celebrity_transitions, finish, lambda *_: 0)
                celebrity_transitions.reconcile_author(user.pk)
        if read_between_steps:
            self.check_all_feeds()

    @rule()
    def resume_transitions(self) -> None:
        celebrity_transitions.resume_transitions()

    # --- The cache ---

    @rule()
    def flush(self) -> None:
        flush_cache()

    @rule(
        number=user_numbers,
        key=st.sampled_from(
            [keys.home_timeline, keys.author_timelines, keys.visible_authors, keys.user_summary, keys.auth_state]
        ),
    )
    def expire(self, number: int, key: Callable[[int], str | list[str]]) -> None:
        names = key(self.ids[number])
        evict([names] if isinstance(names, str) else names)

    @rule()
    def expire_celebrities(self) -> None:
        evict(visible_authors.celebrity_cache_keys())

    @precondition(lambda self: self.model.posts)
    @rule(data=st.data())
    def expire_post_card(self, data: st.DataObject) -> None:
        evict([keys.post_card(data.draw(st.sampled_from(self.model.posts))[0])])

    # --- Reading ---

    @rule(number=user_numbers)
    def read_before_delivery(self, number: int) -> None:
        """Read while deliveries are pending: posts may be missing, but none that is forbidden is shown."""
        shown = self._read_feed(number, 3)
        expected = self.model.feed(number)
        assert set(shown) <= set(expected)
        assert len(shown) == len(set(shown))
        own = [id_ for id_, author in self.model.posts if author == number and number not in self.model.suspended]
        assert set(own) <= set(shown), "the viewer's own posts are there at once"

    @rule()
    def check_all_feeds(self) -> None:
        """Deliver everything, then compare every feed with the model in every page size."""
        self.checked = False
        self.deliver_everything()
        for number in range(USERS):
            expected = self.model.feed(number)
            for size in PAGE_SIZES:
                assert self._read_feed(number, size) == expected, f"viewer {number}, pages of {size}"
            for since in {0, *expected[:1], *expected[-1:]}:
                newer = sum(post_id > since for post_id in expected)
                assert timeline.count_newer(self.ids[number], since, 4) == (min(newer, 4), newer > 4)
        self.checked = True

    def deliver_everything(self) -> None:
        deliver_all()
        assert not FanOut.objects.exclude(state=JobState.DONE).exists()

    def read_all_feeds(self) -> None:
        for viewer in self.ids:
            timeline.get_page(viewer, None, 1)

    def _read_feed(self, number: int, size: int) -> list[int]:
        shown: list[int] = []
        before = None
        while True:
            page, after = timeline.get_page(self.ids[number], before, size)
            assert len(page) == size or after is None, "only the last page is short"
            assert page or not shown, "a cursor never leads to an empty page"
            shown += [int(json.loads(post)["id"]) for post in page]
            if after is None:
                return shown
            before = after

    @invariant()
    def no_invalidation_is_pending(self) -> None:
        if hasattr(self, "model"):
            with database.cursor() as cursor:
                cursor.execute(DELETE_FINISHED_SQL, {"finished": take_finished()})
                cursor.execute("SELECT count(*) FROM core_invalidation")
                assert cursor.fetchone() == (0,)


def _assert_counts_exact() -> None:
    for kind in COUNTER_REPAIRS:
        assert not kind.find_wrong(list(kind.model._default_manager.values_list("pk", flat=True))), kind.name


def _empty_database_and_redis() -> None:
    empty_database()
    flush_cache()


def _count_partitions() -> int:
    with database.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT tableoid) FROM posts_post")
        return int(cursor.fetchone()[0])


class Mode(NamedTuple):
    celebrity_threshold: int
    feed_length: int
    allows_pins: bool
    has_partitions: bool = False


MODES = {
    "push": Mode(celebrity_threshold=1_000, feed_length=500, allows_pins=False),
    "pull": Mode(celebrity_threshold=1, feed_length=500, allows_pins=False),
    "hybrid": Mode(celebrity_threshold=2, feed_length=500, allows_pins=True),
    "short feeds": Mode(celebrity_threshold=2, feed_length=10, allows_pins=True),
    "shortest feeds": Mode(celebrity_threshold=2, feed_length=2, allows_pins=True),
    "partitions": Mode(celebrity_threshold=2, feed_length=5, allows_pins=True, has_partitions=True),
}


@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_every_feed_equals_the_model(mode: Mode, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    run_machine(FeedMachine, mode, settings, monkeypatch)
    if mode.has_partitions:
        empty_database()
        restore_partitions()


def run_machine(machine: type[FeedMachine], mode: Mode, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run sequences of events in this mode, on the cache that this process uses."""
    settings.CELEBRITY_THRESHOLD, settings.FEED_LENGTH = mode.celebrity_threshold, mode.feed_length
    settings.FAN_OUT_BATCH_SIZE = 2
    monkeypatch.setattr(machine, "allows_pins", mode.allows_pins)
    monkeypatch.setattr(machine, "has_partitions", mode.has_partitions)
    run_state_machine_as_test(machine, settings=_profile())


def _profile() -> hypothesis.settings:
    return hypothesis.settings(
        max_examples=int(os.environ.get("STATEFUL_EXAMPLES", "6")),
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
