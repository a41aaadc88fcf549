"""Promotion and demotion: triggered by the threshold, safe when interrupted, and without a lost post."""

from __future__ import annotations

from datetime import datetime

import pytest
import redis
from django.utils import timezone
from pytest_django import Settings

from accounts.models import CelebrityState, User
from feeds import celebrity_transitions, timeline, timeline_store, visible_authors
from feeds.celebrity_transitions import ReclassifyResult
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from social.counter_rollup import roll_up
from tests.db.feeds.feed_setup import create_posts, create_users, deliver_all, follow, read_feed
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _threshold(settings: Settings) -> None:
    settings.CELEBRITY_THRESHOLD = 10


def state_of(user: User) -> CelebrityState:
    return CelebrityState(User.objects.get(pk=user.pk).celebrity_state)


def create_author(count: int, state: CelebrityState = CelebrityState.ORDINARY, pin: bool | None = None) -> User:
    return UserFactory(follower_count=count, celebrity_state=state, celebrity_pin=pin)


def begin_promotion(author: User) -> datetime:
    since = timezone.now()
    authors = User.objects.filter(pk=author.pk)
    celebrity_transitions.change_state(authors, CelebrityState.ORDINARY, CelebrityState.PROMOTING, since=since)
    return since


def test_follow_that_reaches_the_threshold_enqueues_a_promotion(settings: Settings, redis_broker: redis.Redis) -> None:
    settings.CELEBRITY_THRESHOLD = 2
    author, one, other = create_users(3)
    follow(author, one)
    roll_up()
    assert redis_broker.llen("maintenance") == 0
    follow(author, other)
    roll_up()
    assert redis_broker.llen("maintenance") == 1
    celebrity_transitions.reconcile_author(author.pk)
    assert state_of(author) == CelebrityState.CELEBRITY


def test_feeds_stay_complete_through_promotion_and_demotion() -> None:
    author, ordinary, follower = create_users(3)
    follow(author, follower)
    follow(ordinary, follower)
    expected: list[int] = []

    def create_and_deliver() -> None:
        for user in (author, ordinary):
            expected.insert(0, *create_posts(user))
        deliver_all()

    create_and_deliver()
    assert read_feed(follower) == expected
    assert celebrity_transitions.promote([author.pk]) == 1
    assert read_feed(follower) == expected
    create_and_deliver()
    assert read_feed(follower) == expected
    assert celebrity_transitions.demote([author.pk]) == 1
    assert read_feed(follower) == expected
    create_and_deliver()
    assert read_feed(follower) == expected


def test_promotion_interrupted_by_a_redis_failure_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    author, follower = create_users(2)
    follow(author, follower)
    read_feed(follower)

    def fail(*_: object) -> None:
        raise redis.ConnectionError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(timeline_store, "evict", fail)
        with pytest.raises(redis.ConnectionError):
            celebrity_transitions.promote([author.pk])
    assert state_of(author) == CelebrityState.PROMOTING
    expected = create_posts(author)
    deliver_all()
    assert read_feed(follower) == expected, "feeds are right in a transitional state"
    assert celebrity_transitions.resume_transitions() == 1
    assert state_of(author) == CelebrityState.CELEBRITY


def test_suspended_worker_cannot_finish_after_later_transitions() -> None:
    author = create_author(0)
    first = begin_promotion(author)
    assert celebrity_transitions.resume_transitions() == 1
    assert celebrity_transitions.demote([author.pk]) == 1
    begin_promotion(author)
    assert celebrity_transitions.finish_promotion([author.pk], first) == 0
    assert state_of(author) == CelebrityState.PROMOTING


def test_celebrity_set_read_before_a_promotion_is_not_stored_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    author = create_author(0)
    load = visible_authors.load_celebrities

    def promote_after_load() -> list[int]:
        loaded = load()
        celebrity_transitions.promote([author.pk])
        return loaded

    monkeypatch.setattr(visible_authors, "load_celebrities", promote_after_load)
    assert not visible_authors.fill_celebrities(0)
    assert not get_client().exists(keys.celebrities(0))


def test_reclassify_moves_all_misplaced_authors() -> None:
    up, down, pinned = create_author(10), create_author(3, CelebrityState.CELEBRITY), create_author(0, pin=True)
    within_hysteresis = create_author(9, CelebrityState.CELEBRITY)
    promoting = create_author(20, CelebrityState.PROMOTING)
    assert celebrity_transitions.reclassify() == ReclassifyResult(promoted=2, demoted=1)
    assert [state_of(user) for user in (up, down, pinned, within_hysteresis, promoting)] == [
        CelebrityState.CELEBRITY,
        CelebrityState.ORDINARY,
        CelebrityState.CELEBRITY,
        CelebrityState.CELEBRITY,
        CelebrityState.CELEBRITY,
    ]
    assert celebrity_transitions.reclassify() == ReclassifyResult(promoted=0, demoted=0)
    assert celebrity_transitions.reclassify(3) == ReclassifyResult(promoted=1, demoted=0)


def test_posts_show_that_their_author_became_a_celebrity() -> None:
    author, follower = create_users(2)
    follow(author, follower)
    create_posts(author)
    deliver_all()
    assert b'"is_celebrity":false' in timeline.get_page(follower.pk, None, 1)[0][0]
    celebrity_transitions.promote([author.pk])
    assert b'"is_celebrity":true' in timeline.get_page(follower.pk, None, 1)[0][0]


@pytest.mark.parametrize("pin", [True, False])
def test_pin_set_during_reclassify_holds(pin: bool) -> None:
    pinned_state = CelebrityState.CELEBRITY if pin else CelebrityState.ORDINARY
    moved_state = CelebrityState.ORDINARY if pin else CelebrityState.CELEBRITY
    first, second = (create_author(0 if pin else 99, pinned_state) for _ in range(2))

    def pin_second(_: int) -> None:
        User.objects.filter(pk=second.pk).update(celebrity_pin=pin)

    celebrity_transitions.reclassify(progress=pin_second, batch_size=1)
    assert (state_of(first), state_of(second)) == (moved_state, pinned_state)
    assert not celebrity_transitions.promote([second.pk]) + celebrity_transitions.demote([second.pk])
