"""Crossing the line: automatic, with hysteresis, pinned where a moderator says so, and never a post lost."""

from __future__ import annotations

import pytest
import redis
from pytest_django.fixtures import Settings

from accounts.models import CelebrityState, User
from feeds import celebrities, policy
from instafeed import keys
from instafeed.redis import connection
from social.roll_up import roll_up
from tests.factories import UserFactory
from tests.feeds.helpers import deliver, feed, follow, people, write

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
    assert policy.should_be_celebrity(user) is expected
    if state == CelebrityState.ORDINARY:
        assert policy.to_promote().filter(pk=user.pk).exists() is expected
    if state == CelebrityState.CELEBRITY:
        assert policy.to_demote().filter(pk=user.pk).exists() is not expected


def test_a_follow_that_crosses_the_line_sends_for_a_move(settings: Settings, redis_broker: redis.Redis) -> None:
    settings.CELEBRITY_THRESHOLD = 2
    author, one, other = people(3)
    follow(author, one)
    roll_up()
    assert redis_broker.llen("maintenance") == 0
    follow(author, other)
    roll_up()
    assert redis_broker.llen("maintenance") == 1
    celebrities.settle(author.pk)
    assert state_of(author) == CelebrityState.CELEBRITY


def test_feeds_stay_whole_through_promotion_and_demotion() -> None:
    author, ordinary, follower = people(3)
    follow(author, follower)
    follow(ordinary, follower)
    expected: list[int] = []

    def write_all() -> None:
        for user in (author, ordinary):
            expected.insert(0, *write(user))
        deliver()

    write_all()
    assert feed(follower) == expected
    assert celebrities.promote([author.pk]) == 1
    assert feed(follower) == expected
    write_all()
    assert feed(follower) == expected
    assert celebrities.demote([author.pk]) == 1
    assert feed(follower) == expected
    write_all()
    assert feed(follower) == expected


def test_without_redis_an_author_stays_between_and_is_finished_later(monkeypatch: pytest.MonkeyPatch) -> None:
    author, follower = people(2)
    follow(author, follower)
    feed(follower)

    def gone(*_: object) -> None:
        raise redis.ConnectionError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(celebrities.store, "drop", gone)
        with pytest.raises(redis.ConnectionError):
            celebrities.promote([author.pk])
    assert state_of(author) == CelebrityState.PROMOTING
    expected = write(author)
    deliver()
    assert feed(follower) == expected, "nothing is wrong meanwhile"
    assert celebrities.finish_moves() == 1
    assert state_of(author) == CelebrityState.CELEBRITY


def test_a_mover_that_slept_through_other_moves_changes_nothing() -> None:
    author = with_count(0)
    since = celebrities.timezone.now()
    begun = celebrities._step(
        User.objects.filter(pk=author.pk), CelebrityState.ORDINARY, CelebrityState.PROMOTING, since=since
    )
    assert celebrities.finish_moves() == 1
    assert celebrities.demote([author.pk]) == 1
    celebrities._step(
        User.objects.filter(pk=author.pk),
        CelebrityState.ORDINARY,
        CelebrityState.PROMOTING,
        since=celebrities.timezone.now(),
    )
    assert celebrities._finish_promotion(begun, since) == 0
    assert state_of(author) == CelebrityState.PROMOTING


def test_a_celebrity_set_read_before_a_promotion_is_not_stored_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that loaded the set just before must not bring it back just after."""
    from feeds import sources

    author = with_count(0)
    stored = sources._store

    def store_late(*arguments: object) -> bool:
        celebrities.promote([author.pk])
        return stored(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sources, "_store", store_late)
    assert not sources.warm_celebrities()
    assert not connection().exists(keys.CELEBRITIES)


def test_reclassify_moves_everybody_who_is_on_the_wrong_side() -> None:
    up, down, pinned = with_count(10), with_count(3, CelebrityState.CELEBRITY), with_count(0, pin=True)
    stays = with_count(9, CelebrityState.CELEBRITY)
    moving = with_count(20, CelebrityState.PROMOTING)
    assert celebrities.reclassify() == celebrities.Reclassified(promoted=2, demoted=1)
    assert [state_of(user) for user in (up, down, pinned, stays, moving)] == [
        CelebrityState.CELEBRITY,
        CelebrityState.ORDINARY,
        CelebrityState.CELEBRITY,
        CelebrityState.CELEBRITY,
        CelebrityState.CELEBRITY,
    ]
    assert celebrities.reclassify() == celebrities.Reclassified(0, 0)
    assert celebrities.reclassify(3) == celebrities.Reclassified(promoted=1, demoted=0)


def test_followers_of_a_celebrity_are_told_on_its_posts() -> None:
    author, follower = people(2)
    follow(author, follower)
    write(author)
    deliver()
    from feeds import assembly

    assert b'"is_celebrity":false' in assembly.page(follower.pk, None, 1)[0][0]
    celebrities.promote([author.pk])
    assert b'"is_celebrity":true' in assembly.page(follower.pk, None, 1)[0][0]


@pytest.mark.parametrize("pin", [True, False])
def test_a_pin_that_is_set_while_all_are_reclassified_holds(pin: bool) -> None:
    side = CelebrityState.CELEBRITY if pin else CelebrityState.ORDINARY
    first, second = (with_count(0 if pin else 99, side) for _ in range(2))

    def pin_the_next(_: int) -> None:
        User.objects.filter(pk=second.pk).update(celebrity_pin=pin)

    celebrities.reclassify(progress=pin_the_next, at_once=1)
    assert (state_of(first), state_of(second)) == (CelebrityState.ORDINARY if pin else CelebrityState.CELEBRITY, side)
    assert not celebrities.promote([second.pk]) + celebrities.demote([second.pk])
