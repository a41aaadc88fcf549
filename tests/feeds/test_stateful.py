"""The heart's contract: every viewer's whole feed equals a plain model's, whatever happens in whatever order.

Hypothesis drives follows, requests, blocks, mutes, posts, deletions, suspensions, moves over the celebrity
line (also stopped half way), deliveries late and twice, and the loss of any part of the cache, against
sets and a list in memory; then every viewer's feed is read in every page size.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable

import pytest
from django.conf import settings as django_settings
from django.db import connection as database
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts import services as accounts
from accounts.models import User
from feeds import celebrity_policy, celebrity_transitions, fanout, timeline
from feeds.models import FanOut
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from instafeed.core.jobs.leased import JobState
from posts import services as posts
from posts.counter_repair import COUNTER_REPAIRS
from social import services as social
from social.counter_rollup import roll_up
from social.errors import RelationError
from tests.database_cleanup import empty_database
from tests.feeds.feed_setup import deliver_all

USERS = 5
PAGE_SIZES = (1, 2, 3, 5, 100)
someone = st.integers(0, USERS - 1)


class Model:
    """What the feed should be, in the plainest form."""

    def __init__(self) -> None:
        self.follows: set[tuple[int, int]] = set()  # follower, followee
        self.requests: set[tuple[int, int]] = set()
        self.blocks: set[tuple[int, int]] = set()
        self.mutes: set[tuple[int, int]] = set()
        self.private: set[int] = set()
        self.suspended: set[int] = set()
        self.posts: list[tuple[int, int]] = []  # id, author

    def apart(self, one: int, other: int) -> bool:
        return bool({(one, other), (other, one)} & self.blocks)

    def sees(self, viewer: int, author: int) -> bool:
        if author in self.suspended:
            return False
        if viewer == author:
            return True
        return (
            (viewer, author) in self.follows and (viewer, author) not in self.mutes and not self.apart(viewer, author)
        )

    def feed(self, viewer: int) -> list[int]:
        return sorted((id_ for id_, author in self.posts if self.sees(viewer, author)), reverse=True)


class FeedMachine(RuleBasedStateMachine):
    @initialize(private=st.sets(someone, max_size=2), follows=st.sets(st.tuples(someone, someone), max_size=12))
    def begin(self, private: set[int], follows: set[tuple[int, int]]) -> None:
        _empty_everything()
        self.model = Model()
        self.users = [User.objects.create_user(f"user{number}") for number in range(USERS)]
        self.ids = [user.pk for user in self.users]
        for pair in sorted(follows):
            self.follow(*pair)
        for number in sorted(private):
            self.turn_private(number)
        self.checked = True

    checked = False

    def teardown(self) -> None:
        # Not after a failure: a second one, of a machine that shrinking has cut short, would hide the first.
        if self.checked:
            self.everything_is_right()
            _counts_are_right()

    # --- The graph ---

    @rule(follower=someone, followee=someone)
    def follow(self, follower: int, followee: int) -> None:
        self.read_all()  # whatever was cached by then must not outlive it
        model = self.model
        pair = (follower, followee)
        with contextlib.suppress(RelationError):
            social.follow(self.ids[follower], self.ids[followee])
        if follower == followee or model.apart(*pair) or {follower, followee} & model.suspended:
            return
        if pair not in model.follows:
            (model.requests if followee in model.private else model.follows).add(pair)

    @rule(follower=someone, followee=someone)
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

    @rule(owner=someone, follower=someone)
    def remove_follower(self, owner: int, follower: int) -> None:
        with contextlib.suppress(RelationError):
            social.remove_follower(self.ids[owner], self.ids[follower])
        self.model.follows.discard((follower, owner))

    @rule(blocker=someone, blocked=someone)
    def block(self, blocker: int, blocked: int) -> None:
        if blocker == blocked or {blocker, blocked} & self.model.suspended or (blocked, blocker) in self.model.blocks:
            return  # whom one does not see, one does not block
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

    @rule(muter=someone, muted=someone)
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

    @rule(number=someone)
    def turn_private(self, number: int) -> None:
        accounts.update_profile(self.ids[number], {"is_private": True})
        self.model.private.add(number)

    @rule(number=someone)
    def turn_public(self, number: int) -> None:
        """Going public admits whoever was asking."""
        accounts.update_profile(self.ids[number], {"is_private": False})
        self.model.private.discard(number)
        admitted = {pair for pair in self.model.requests if pair[1] == number}
        self.model.requests -= admitted
        self.model.follows |= admitted

    @rule(number=someone)
    def suspend_or_reinstate(self, number: int) -> None:
        if number in self.model.suspended:
            accounts.reinstate(self.ids[number])
            self.model.suspended.discard(number)
        else:
            accounts.suspend(self.ids[number])
            self.model.suspended.add(number)

    # --- Posts and their deliveries ---

    @rule(author=someone, count=st.integers(1, 4))
    def post(self, author: int, count: int) -> None:
        for _ in range(count):
            created = posts.create_post(self.ids[author], "text")
            self.model.posts.append((created.pk, author))

    @rule(author=someone, count=st.integers(2, 6))
    def write_to_warm_feeds(self, author: int, count: int) -> None:
        """What chance alone rarely does: fill lists past their length while they are warm."""
        self.read_all()
        self.post(author, count)
        deliver_all()

    @precondition(lambda self: self.model.posts)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        doomed = data.draw(st.sampled_from(self.model.posts))
        assert posts.delete_post(doomed[0], self.ids[doomed[1]])
        self.model.posts.remove(doomed)

    @precondition(lambda self: self.model.posts)
    @rule(data=st.data())
    def hide_and_restore(self, data: st.DataObject) -> None:
        post_id, author = data.draw(st.sampled_from(self.model.posts))
        assert posts.hide_post(post_id)
        self.model.posts.remove((post_id, author))
        self.everything_is_right()
        assert posts.restore_post(post_id)
        self.model.posts.append((post_id, author))

    @rule(data=st.data())
    def deliver_one(self, data: st.DataObject) -> None:
        """One slice of any post that waits, not only the oldest."""
        waiting = sorted(FanOut.objects.filter(state=JobState.PENDING).values_list("pk", flat=True))
        if waiting:
            fanout.deliver_slice(data.draw(st.sampled_from(waiting)))

    @precondition(lambda self: self.model.posts)
    @rule(data=st.data(), from_the_start=st.booleans())
    def deliver_again(self, data: st.DataObject, from_the_start: bool) -> None:
        """A redelivered task, or a worker that died before it could note how far it came."""
        post_id, _ = data.draw(st.sampled_from(self.model.posts))
        if from_the_start:
            FanOut.objects.filter(pk=post_id).update(state=JobState.PENDING, last_follower_id=0)
        fanout.deliver_slice(post_id)

    # --- The celebrity line ---

    @rule(number=someone)
    def settle(self, number: int) -> None:
        roll_up()
        celebrity_transitions.reconcile_author(self.ids[number])

    @rule(number=someone, pin=st.sampled_from([True, False, None]))
    def pin(self, number: int, pin: bool | None) -> None:
        User.objects.filter(pk=self.ids[number]).update(celebrity_pin=pin)
        if django_settings.TEST_MODE_MAY_PIN:
            celebrity_transitions.reconcile_author(self.ids[number])
        else:
            User.objects.filter(pk=self.ids[number]).update(celebrity_pin=None)

    @precondition(lambda _: django_settings.TEST_MODE_MAY_PIN)
    @rule(number=someone, count=st.integers(1, 3))
    def be_a_celebrity_for_a_while(self, number: int, count: int) -> None:
        """Up, some posts that are only pulled, and down again, with readers all the while."""
        for pin in (True, False):
            self.pin(number, pin)
            self.write_to_warm_feeds(number, count)
        self.read_all()

    @rule(number=someone, read_half_way=st.booleans())
    def move_half_way(self, number: int, read_half_way: bool) -> None:
        """The mover dies between its two steps; somebody finishes later."""
        roll_up()
        user = User.objects.get(pk=self.ids[number])
        if celebrity_policy.needs_transition(user):
            finish = "finish_promotion" if celebrity_policy.should_be_celebrity(user) else "finish_demotion"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(celebrity_transitions, finish, lambda *_: 0)
                celebrity_transitions.reconcile_author(user.pk)
        if read_half_way:
            self.everything_is_right()

    @rule()
    def finish_moves(self) -> None:
        celebrity_transitions.resume_transitions()

    # --- The cache ---

    @rule()
    def flush(self) -> None:
        get_client().flushdb()

    @rule(
        number=someone,
        key=st.sampled_from(
            [keys.home_timeline, keys.author_timeline, keys.visible_authors, keys.user_summary, keys.auth_state]
        ),
    )
    def expire(self, number: int, key: Callable[[int], str]) -> None:
        get_client().delete(key(self.ids[number]))

    @rule()
    def forget_celebrities(self) -> None:
        get_client().delete(keys.CELEBRITIES)

    @precondition(lambda self: self.model.posts)
    @rule(data=st.data())
    def forget_card(self, data: st.DataObject) -> None:
        get_client().delete(keys.post_card(data.draw(st.sampled_from(self.model.posts))[0]))

    # --- Reading ---

    @rule(number=someone)
    def read_before_delivery(self, number: int) -> None:
        """Warms a feed while deliveries wait: it may lack what is on its way, and shows nothing forbidden."""
        shown = self._walk(number, 3)
        expected = self.model.feed(number)
        assert set(shown) <= set(expected)
        assert len(shown) == len(set(shown))
        own = [id_ for id_, author in self.model.posts if author == number and number not in self.model.suspended]
        assert set(own) <= set(shown), "an own post is there at once"

    @rule()
    def everything_is_right(self) -> None:
        """Once deliveries are done, every feed is the model's, in every page size."""
        self.checked = False
        deliver_all()
        assert not FanOut.objects.exclude(state=JobState.DONE).exists()
        for number in range(USERS):
            expected = self.model.feed(number)
            for size in PAGE_SIZES:
                assert self._walk(number, size) == expected, f"viewer {number}, pages of {size}"
            for since in {0, *expected[:1], *expected[-1:]}:
                newer = sum(post_id > since for post_id in expected)
                assert timeline.count_newer(self.ids[number], since, 4) == (min(newer, 4), newer > 4)
        self.checked = True

    def read_all(self) -> None:
        for viewer in self.ids:
            timeline.get_page(viewer, None, 1)

    def _walk(self, number: int, size: int) -> list[int]:
        shown: list[int] = []
        before = None
        while True:
            page, after = timeline.get_page(self.ids[number], before, size)
            assert len(page) == size or after is None, "short only at the end"
            assert page or not shown, "no empty page after a `next`"
            shown += [int(json.loads(post)["id"]) for post in page]
            if after is None:
                return shown
            before = after

    @invariant()
    def no_outbox_row_is_left(self) -> None:
        if hasattr(self, "model"):
            with database.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM core_invalidation")
                assert cursor.fetchone() == (0,)


def _counts_are_right() -> None:
    for kind in COUNTER_REPAIRS:
        assert not kind.find_wrong(list(kind.model._default_manager.values_list("pk", flat=True))), kind.name


def _empty_everything() -> None:
    empty_database()
    get_client().flushdb()


MODES = {
    "push": {"CELEBRITY_THRESHOLD": 1_000, "FEED_LENGTH": 500, "TEST_MODE_MAY_PIN": False},
    "pull": {"CELEBRITY_THRESHOLD": 1, "FEED_LENGTH": 500, "TEST_MODE_MAY_PIN": False},
    "hybrid": {"CELEBRITY_THRESHOLD": 2, "FEED_LENGTH": 500, "TEST_MODE_MAY_PIN": True},
    "short feeds": {"CELEBRITY_THRESHOLD": 2, "FEED_LENGTH": 10, "TEST_MODE_MAY_PIN": True},
    "shortest feeds": {"CELEBRITY_THRESHOLD": 2, "FEED_LENGTH": 2, "TEST_MODE_MAY_PIN": True},
}


@pytest.mark.timeout(600)
@pytest.mark.flaky(reruns=0)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", MODES)
def test_every_feed_equals_the_model(mode: str, settings: object) -> None:
    for name, value in {**MODES[mode], "FAN_OUT_BATCH_SIZE": 2}.items():
        setattr(settings, name, value)
    run_state_machine_as_test(FeedMachine, settings=_profile())


def _profile() -> settings:
    return settings(
        max_examples=int(os.environ.get("STATEFUL_EXAMPLES", "6")),
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
