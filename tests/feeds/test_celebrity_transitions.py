"""Crossing the line: automatic, with hysteresis, pinned where a moderator says so, and never a post lost."""

from __future__ import annotations

import pytest
import redis
from pytest_django.fixtures import Settings

from accounts.models import CelebrityState, User
from feeds import celebrity_policy, celebrity_transitions
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from social.counter_rollup import roll_up
from tests.factories import UserFactory
from tests.feeds.feed_setup import create_posts, create_users, deliver_all, follow, read_feed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _threshold(settings: Settings) -> None:
    settings.CELEBRITY_THRESHOLD = 10


def state_of(user: User) -> CelebrityState:
    return CelebrityState(User.objects.get(pk=user.pk).celebrity_state)


def with_count(count: int, state: CelebrityState = CelebrityState.ORDINARY, pin: bool | None = None) -> User:
    return UserFactory(follower_count=count, celebrity_state=state, celebrity_pin=pin)


@pytest.mark.parametrize(
    ("count", "state", "pin", "expected"),
    [
        (9, CelebrityState.ORDINARY, None, False),
        (10, CelebrityState.ORDINARY, None, True),
        (9, CelebrityState.CELEBRITY, None, True),
        (8, CelebrityState.CELEBRITY, None, False),
        (9, CelebrityState.DEMOTING, None, False),
        (0, CelebrityState.ORDINARY, True, True),
        (99, CelebrityState.CELEBRITY, False, False),
    ],
)
def test_the_line_has_a_hysteresis_and_a_pin_beats_it(
    count: int, state: CelebrityState, pin: bool | None, expected: bool
) -> None:
    user = with_count(count, state, pin)
    assert celebrity_policy.should_be_celebrity(user) is expected
    if state == CelebrityState.ORDINARY:
        assert celebrity_policy.authors_to_promote().filter(pk=user.pk).exists() is expected
    if state == CelebrityState.CELEBRITY:
        assert celebrity_policy.authors_to_demote().filter(pk=user.pk).exists() is not expected


def test_a_follow_that_crosses_the_line_sends_for_a_move(settings: Settings, redis_broker: redis.Redis) -> None:
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


def test_feeds_stay_whole_through_promotion_and_demotion() -> None:
    author, ordinary, follower = create_users(3)
    follow(author, follower)
    follow(ordinary, follower)
    expected: list[int] = []

    def write_all() -> None:
        for user in (author, ordinary):
            expected.insert(0, *create_posts(user))
        deliver_all()

    write_all()
    assert read_feed(follower) == expected
    assert celebrity_transitions.promote([author.pk]) == 1
    assert read_feed(follower) == expected
    write_all()
    assert read_feed(follower) == expected
    assert celebrity_transitions.demote([author.pk]) == 1
    assert read_feed(follower) == expected
    write_all()
    assert read_feed(follower) == expected


def test_without_redis_an_author_stays_between_and_is_finished_later(monkeypatch: pytest.MonkeyPatch) -> None:
    author, follower = create_users(2)
    follow(author, follower)
    read_feed(follower)

    def gone(*_: object) -> None:
        raise redis.ConnectionError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(celebrity_transitions.timeline_store, "evict", gone)
        with pytest.raises(redis.ConnectionError):
            celebrity_transitions.promote([author.pk])
    assert state_of(author) == CelebrityState.PROMOTING
    expected = create_posts(author)
    deliver_all()
    assert read_feed(follower) == expected, "nothing is wrong meanwhile"
    assert celebrity_transitions.resume_transitions() == 1
    assert state_of(author) == CelebrityState.CELEBRITY


def test_a_mover_that_slept_through_other_moves_changes_nothing() -> None:
    author = with_count(0)
    since = celebrity_transitions.timezone.now()
    begun = celebrity_transitions._change_state(
        User.objects.filter(pk=author.pk), CelebrityState.ORDINARY, CelebrityState.PROMOTING, since=since
    )
    assert celebrity_transitions.resume_transitions() == 1
    assert celebrity_transitions.demote([author.pk]) == 1
    celebrity_transitions._change_state(
        User.objects.filter(pk=author.pk),
        CelebrityState.ORDINARY,
        CelebrityState.PROMOTING,
        since=celebrity_transitions.timezone.now(),
    )
    assert celebrity_transitions._finish_promotion(begun, since) == 0
    assert state_of(author) == CelebrityState.PROMOTING


def test_a_celebrity_set_read_before_a_promotion_is_not_stored_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that loaded the set just before must not bring it back just after."""
    from feeds import visible_authors

    author = with_count(0)
    stored = visible_authors._store_under_lease

    def store_late(*arguments: object) -> bool:
        celebrity_transitions.promote([author.pk])
        return stored(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(visible_authors, "_store_under_lease", store_late)
    assert not visible_authors.fill_celebrities()
    assert not get_client().exists(keys.CELEBRITIES)


def test_reclassify_moves_everybody_who_is_on_the_wrong_side() -> None:
    up, down, pinned = with_count(10), with_count(3, CelebrityState.CELEBRITY), with_count(0, pin=True)
    stays = with_count(9, CelebrityState.CELEBRITY)
    moving = with_count(20, CelebrityState.PROMOTING)
    assert celebrity_transitions.reclassify() == celebrity_transitions.ReclassifyResult(promoted=2, demoted=1)
    assert [state_of(user) for user in (up, down, pinned, stays, moving)] == [
        CelebrityState.CELEBRITY,
        CelebrityState.ORDINARY,
        CelebrityState.CELEBRITY,
        CelebrityState.CELEBRITY,
        CelebrityState.CELEBRITY,
    ]
    assert celebrity_transitions.reclassify() == celebrity_transitions.ReclassifyResult(0, 0)
    assert celebrity_transitions.reclassify(3) == celebrity_transitions.ReclassifyResult(promoted=1, demoted=0)


def test_followers_of_a_celebrity_are_told_on_its_posts() -> None:
    author, follower = create_users(2)
    follow(author, follower)
    create_posts(author)
    deliver_all()
    from feeds import timeline

    assert b'"is_celebrity":false' in timeline.get_page(follower.pk, None, 1)[0][0]
    celebrity_transitions.promote([author.pk])
    assert b'"is_celebrity":true' in timeline.get_page(follower.pk, None, 1)[0][0]


@pytest.mark.parametrize("pin", [True, False])
def test_a_pin_that_is_set_while_all_are_reclassified_holds(pin: bool) -> None:
    side = CelebrityState.CELEBRITY if pin else CelebrityState.ORDINARY
    first, second = (with_count(0 if pin else 99, side) for _ in range(2))

    def pin_the_next(_: int) -> None:
        User.objects.filter(pk=second.pk).update(celebrity_pin=pin)

    celebrity_transitions.reclassify(progress=pin_the_next, batch_size=1)
    assert (state_of(first), state_of(second)) == (CelebrityState.ORDINARY if pin else CelebrityState.CELEBRITY, side)
    assert not celebrity_transitions.promote([second.pk]) + celebrity_transitions.demote([second.pk])
