"""Explore: what is ranked how, who sees what of it, and pages that hold while rankings come and go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts import services as accounts
from instafeed.core.api.pagination.cursors import encode_cursor
from instafeed.core.api.pagination.filtered import MAX_SCAN_BATCH_SIZE
from instafeed.core.cache import keys
from instafeed.core.db.advisory_locks import try_acquire_session
from posts import counters, explore, services
from posts.counters import Counts
from posts.models import ExploreRanking, Post
from posts.tasks import rank_explore
from social import services as social
from tests.api.error_shape import assert_error
from tests.factories import UserFactory
from tests.posts.api_user import ApiUser

pytestmark = pytest.mark.django_db(transaction=True)


def shown(caller: ApiUser, limit: int = 2) -> list[str]:
    return [post["id"] for post in caller.list_all("/explore", limit)]


def post(likes: int = 0, comments: int = 0, hours: float = 0) -> str:
    """Somebody's post of that many hours ago, with so much engagement."""
    made = services.create_post(UserFactory().pk, "hello").pk
    Post.objects.filter(pk=made).update(created_at=timezone.now() - timedelta(hours=hours))
    with transaction.atomic():
        for part in (likes // 2, likes - likes // 2):  # over several slots
            counters.increment_many({made: Counts(part, 0)})
        counters.increment_many({made: Counts(0, comments)})
    return str(made)


def ranked() -> int:
    """A new ranking that readers know of."""
    made = explore.compute_ranking()
    assert made is not None
    redis.Redis.from_url(settings.REDIS_URL).delete(keys.CURRENT_RANKING)
    return made


# --- The order ---------------------------------------------------------------------------------------


def test_engagement_goes_up_and_age_goes_down(reader: ApiUser) -> None:
    ordered = [
        post(likes=40, hours=1),  # 41 / 5.2
        post(comments=10, hours=1),  # 21 / 5.2: a comment is worth two likes
        post(likes=19, hours=1),  # 20 / 5.2
        post(likes=100, hours=10),  # 101 / 41.6
        post(likes=5),  # 6 / 2.8
        post(),  # 1 / 2.8
        post(hours=2),
        post(likes=3, hours=48),  # 4 / 353
        post(hours=48),
    ]
    assert shown(reader, 3) == ordered


def test_equal_posts_are_ranked_newest_first_and_the_future_is_now(reader: ApiUser) -> None:
    posts = [post(hours=-5) for _ in range(3)]
    assert shown(reader) == posts[::-1]


def test_only_recent_posts_and_the_best_of_them_are_ranked(reader: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    posts = [post(likes=9)] + [post(likes=number) for number in range(5)]
    monkeypatch.setattr(explore, "MAX_CANDIDATES", 5)
    monkeypatch.setattr(explore, "MAX_RANKING_LENGTH", 3)
    assert shown(reader) == posts[:2:-1], "the best of all is too old"


def test_what_is_not_public_takes_no_place_in_a_ranking(author: ApiUser) -> None:
    private, suspended = ApiUser(is_private=True), ApiUser()
    private.write()
    suspended.write()
    accounts.suspend(suspended.id)
    hidden, deleted, plain = author.write(), author.write(), author.write()
    services.hide_post(int(hidden))
    services.delete_post(int(deleted), author.id)
    assert explore.get_ranking(ranked()) == [int(plain)]


# --- Who sees what -----------------------------------------------------------------------------------


def test_it_needs_a_token(client: Client) -> None:
    assert_error(client.get("/api/v1/explore"), 401)


def test_what_the_viewer_may_not_see_any_more_is_left_out_at_once(author: ApiUser, reader: ApiUser) -> None:
    private, suspended, blocker, blocked, muted = (ApiUser() for _ in range(5))
    posts = {caller: caller.write() for caller in (private, suspended, blocker, blocked, muted, author)}
    hidden, deleted = author.write(), author.write()
    everything = [deleted, hidden, *list(posts.values())[::-1]]
    ranked()
    assert shown(reader) == everything
    social.follow(reader.id, private.id)
    accounts.update_profile(private.id, {"is_private": True})
    accounts.suspend(suspended.id)
    social.block(blocker.id, reader.id)
    social.block(reader.id, blocked.id)
    social.mute(reader.id, muted.id)
    services.hide_post(int(hidden))
    services.delete_post(int(deleted), author.id)
    for limit in (1, 2, 5):
        assert shown(reader, limit) == [posts[author]]
    accounts.update_profile(private.id, {"is_private": False})
    accounts.reinstate(suspended.id)
    social.unblock(blocker.id, reader.id)
    social.unblock(reader.id, blocked.id)
    social.unmute(reader.id, muted.id)
    services.restore_post(int(hidden))
    assert shown(reader) == everything[1:]


def test_a_page_is_full_however_many_were_left_out_before_it(author: ApiUser, reader: ApiUser) -> None:
    seen = author.write()
    muted = UserFactory()
    for _ in range(30):
        services.create_post(muted.pk, "x")
    social.mute(reader.id, muted.pk)
    assert shown(reader, 1) == [seen]


def test_a_post_is_shown_as_the_viewer_sees_it_now(author: ApiUser, reader: ApiUser) -> None:
    made = author.write()
    ranked()
    reader.like(made)
    (row,) = reader.get("/explore")["results"]
    assert row == reader.get(f"/posts/{made}")
    assert (row["like_count"], row["liked"]) == (1, True)


# --- Pages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 100])
def test_pages_are_one_ranking_without_duplicates_or_gaps_while_new_ones_are_made(
    author: ApiUser, reader: ApiUser, limit: int
) -> None:
    posts = [author.write() for _ in range(7)][::-1]
    ranked()
    rows: list[str] = []
    url: str | None = f"/explore?limit={limit}"
    while url:
        page = reader.get(url)
        rows += [row["id"] for row in page["results"]]
        url = page["next"] and page["next"].partition("/api/v1")[2]
        reader.like(author.write())
        ranked()
    assert rows == posts
    assert shown(reader, limit)[-7:] == posts


def test_the_cursors_own_post_may_vanish(author: ApiUser, reader: ApiUser) -> None:
    posts = [author.write() for _ in range(5)][::-1]
    first = reader.get("/explore?limit=2")
    services.delete_post(int(posts[1]), author.id)
    services.delete_post(int(posts[2]), author.id)
    rest = reader.get(first["next"].partition("/api/v1")[2])
    assert [row["id"] for row in rest["results"]] == posts[3:]


def test_a_whole_long_ranking_is_paged(reader: ApiUser) -> None:
    writer = UserFactory().pk
    posts = [str(services.create_post(writer, "x").pk) for _ in range(120)][::-1]
    assert shown(reader, 100) == posts


def test_a_cursor_of_a_ranking_that_is_gone_is_a_400(
    author: ApiUser, reader: ApiUser, redis_cache: redis.Redis
) -> None:
    for _ in range(3):
        author.write()
    cursor = reader.get("/explore?limit=1")["next"].partition("/api/v1")[2]
    ExploreRanking.objects.update(created_at=timezone.now() - explore.RANKING_RETENTION - timedelta(minutes=1))
    assert reader.get(cursor)["results"], "still there"
    rank_explore()
    assert ExploreRanking.objects.count() == 1
    redis_cache.flushdb()
    assert_error(reader.call("get", cursor), 400, "invalid_cursor")
    assert len(reader.get("/explore")["results"]) == 3


@pytest.mark.parametrize(
    "cursor",
    ["x", "", "explore.0000000000000001", "feed.0000000000000001", "explore.1.1", encode_cursor("explore", 9, 9)],
)
def test_a_malformed_cursor_is_a_400(reader: ApiUser, cursor: str) -> None:
    assert_error(reader.call("get", f"/explore?cursor={cursor}"), 400, "invalid_cursor")


def test_a_cursor_behind_the_end_is_the_end(author: ApiUser, reader: ApiUser) -> None:
    author.write()
    cursor = encode_cursor("explore", ranked(), 2**63 - 1)
    assert reader.get(f"/explore?cursor={cursor}") == {"results": [], "next": None, "previous": None}


def test_a_guessed_cursor_hides_no_ranking_that_is_made_later(author: ApiUser, reader: ApiUser) -> None:
    author.write()
    author.write()
    guessed = encode_cursor("explore", ranked() + 1, 0)
    assert_error(reader.call("get", f"/explore?cursor={guessed}"), 400, "invalid_cursor")
    ranked()
    assert len(reader.get(f"/explore?cursor={guessed}")["results"]) == 1


# --- Rankings come and go ----------------------------------------------------------------------------


def test_an_empty_site_has_an_empty_page(reader: ApiUser) -> None:
    assert reader.get("/explore") == {"results": [], "next": None, "previous": None}


def test_the_first_reader_makes_the_first_ranking_and_the_next_ones_use_it(author: ApiUser, reader: ApiUser) -> None:
    made = author.write()
    assert shown(reader) == shown(author) == [made]
    assert ExploreRanking.objects.count() == 1


def test_who_comes_while_the_first_ranking_is_being_made_sees_none_and_makes_none(
    author: ApiUser, reader: ApiUser
) -> None:
    made = author.write()
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            assert try_acquire_session(cursor, "explore:ranking")
        assert reader.get("/explore")["results"] == []
        rank_explore()
        assert not ExploreRanking.objects.exists()
    finally:
        other.close()
    assert wait_until_shown(reader) == [made], "that there was none is not remembered"


def wait_until_shown(caller: ApiUser) -> list[str]:
    """The other connection's server process lets go of its lock a moment after the connection is closed."""
    for _ in range(100):
        if rows := shown(caller):
            return rows
    return []


def test_a_new_ranking_is_read_within_seconds_without_asking_the_database_each_time(
    author: ApiUser, reader: ApiUser, redis_cache: redis.Redis, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    first = author.write()
    assert shown(reader) == [first]
    assert 0 < redis_cache.ttl(keys.CURRENT_RANKING) <= 5
    second = author.write()
    rank_explore()
    assert shown(reader) == [first]
    redis_cache.delete(keys.CURRENT_RANKING)
    assert shown(reader) == [second, first]


def test_while_nobody_ranks_a_reader_does_once_a_minute(author: ApiUser, reader: ApiUser) -> None:
    old = author.write()
    ranked()
    new = author.write()
    assert shown(reader) == [old]
    ExploreRanking.objects.update(created_at=timezone.now() - explore.RANKING_STALE_AFTER - timedelta(seconds=1))
    redis.Redis.from_url(settings.REDIS_URL).delete(keys.CURRENT_RANKING)
    assert shown(reader) == shown(author) == [new, old]
    assert ExploreRanking.objects.count() == 2


def test_rankings_of_more_than_a_day_ago_are_dropped(author: ApiUser) -> None:
    author.write()
    young, old = ranked(), ranked()
    ExploreRanking.objects.filter(pk=old).update(
        created_at=timezone.now() - explore.RANKING_RETENTION - timedelta(seconds=1)
    )
    ExploreRanking.objects.filter(pk=young).update(
        created_at=timezone.now() - explore.RANKING_RETENTION + timedelta(minutes=1)
    )
    rank_explore()
    assert set(ExploreRanking.objects.values_list("pk", flat=True)) == {young, old + 1}


def test_without_redis_the_pages_are_the_same(
    author: ApiUser, reader: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = [author.write() for _ in range(3)][::-1]
    ranked()

    def gone(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(redis.connection.ConnectionPool, "get_connection", gone)
    rows, last = explore.get_page(reader.id, None, 2)
    assert last is not None
    assert len(rows) == 2
    more, end = explore.get_page(reader.id, last, 2)
    assert end is None
    assert [f'"id":"{made}"'.encode() in row for made, row in zip(posts, rows + more, strict=True)] == [True] * 3


@pytest.mark.parametrize("size", [2, 50])
def test_a_page_costs_a_fixed_number_of_queries(
    reader: ApiUser, size: int, redis_cache: redis.Redis, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(size):
        services.create_post(UserFactory().pk, "x")
    reader.get(f"/explore?limit={size}")
    with django_assert_num_queries(2):  # who of the authors is public, the relations to them
        assert len(reader.get(f"/explore?limit={size}")["results"]) == size
    redis_cache.delete(keys.CURRENT_RANKING, keys.ranking(ExploreRanking.objects.get().pk))
    with django_assert_num_queries(4):  # the newest ranking's id, its posts
        assert len(reader.get(f"/explore?limit={size}")["results"]) == size


def test_a_ranking_is_passed_in_few_strides() -> None:
    """Someone who mutes nearly everybody reads it all for a page: that must stay a handful of rounds."""
    assert explore.MAX_RANKING_LENGTH <= 2 * MAX_SCAN_BATCH_SIZE


def test_the_beat_ranks_often_enough_that_no_reader_has_to() -> None:
    every = settings.CELERY_BEAT_SCHEDULE["rank-explore"]["schedule"]
    assert 2 * every < explore.RANKING_STALE_AFTER.total_seconds()
