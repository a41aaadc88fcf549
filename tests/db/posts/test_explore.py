"""Explore: ranking, visibility, pages, and the life cycle of rankings."""

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
from instafeed.core.db.advisory_locks import release_session, try_acquire_session
from posts import counters, explore, services
from posts.counters import Counts
from posts.models import ExploreRanking, Post
from posts.tasks import rank_explore
from social import services as social
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error
from tests.support.eventually import eventually
from tests.support.factories import UserFactory
from tests.support.pages import EMPTY_PAGE

pytestmark = pytest.mark.django_db


def list_explore(caller: ApiUser, limit: int = 2) -> list[str]:
    return [post["id"] for post in caller.list_all("/explore", limit)]


def create_post_with_engagement(likes: int = 0, comments: int = 0, hours: float = 0) -> str:
    """Create a post by a new user, `hours` old, with that many likes and comments."""
    made = services.create_post(UserFactory().pk, "hello").pk
    Post.objects.filter(pk=made).update(created_at=timezone.now() - timedelta(hours=hours))
    with transaction.atomic():
        for part in (likes // 2, likes - likes // 2):  # in several slots
            counters.increment_many({made: Counts(part, 0)})
        counters.increment_many({made: Counts(0, comments)})
    return str(made)


def compute_ranking() -> int:
    """Compute a ranking, and evict the cached id of the current one. Return the ranking's id."""
    made = explore.compute_ranking()
    assert made is not None
    redis.Redis.from_url(settings.REDIS_URL).delete(keys.CURRENT_RANKING)
    return made


# --- Ranking -----------------------------------------------------------------------------------------


def test_ranks_by_engagement_over_age(reader: ApiUser) -> None:
    ordered = [
        create_post_with_engagement(likes=40, hours=1),  # 41 / 5.2
        create_post_with_engagement(comments=10, hours=1),  # 21 / 5.2: a comment is worth two likes
        create_post_with_engagement(likes=19, hours=1),  # 20 / 5.2
        create_post_with_engagement(likes=100, hours=10),  # 101 / 41.6
        create_post_with_engagement(likes=5),  # 6 / 2.8
        create_post_with_engagement(),  # 1 / 2.8
        create_post_with_engagement(hours=2),
        create_post_with_engagement(likes=3, hours=48),  # 4 / 353
        create_post_with_engagement(hours=48),
    ]
    assert list_explore(reader, 3) == ordered


def test_equal_scores_rank_newest_first(reader: ApiUser) -> None:
    posts = [create_post_with_engagement(hours=-5) for _ in range(3)]
    assert list_explore(reader) == posts[::-1]


def test_ranks_only_the_best_of_the_newest_posts(reader: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    posts = [create_post_with_engagement(likes=9)] + [create_post_with_engagement(likes=number) for number in range(5)]
    monkeypatch.setattr(explore, "MAX_CANDIDATES", 5)
    monkeypatch.setattr(explore, "MAX_RANKING_LENGTH", 3)
    assert list_explore(reader) == posts[:2:-1], "the most liked post is too old"


def test_private_posts_do_not_empty_the_ranking(
    author: ApiUser, reader: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explore, "MAX_CANDIDATES", 2)
    monkeypatch.setattr(explore, "MAX_POSTS_SCANNED", 8)
    private = ApiUser(is_private=True)
    posts = []
    for _ in range(3):
        posts.append(author.create_post())
        private.create_post()
        private.create_post()
    assert list_explore(reader) == posts[:0:-1]
    monkeypatch.setattr(explore, "MAX_POSTS_SCANNED", 2)
    assert explore.get_ranking(compute_ranking()) == []


def test_ranking_excludes_posts_that_are_not_public(author: ApiUser) -> None:
    private, suspended = ApiUser(is_private=True), ApiUser()
    private.create_post()
    suspended.create_post()
    accounts.suspend(suspended.id)
    hidden, deleted, plain = author.create_post(), author.create_post(), author.create_post()
    services.hide_post(int(hidden))
    services.delete_post(int(deleted), author.id)
    assert explore.get_ranking(compute_ranking()) == [int(plain)]


# --- Visibility --------------------------------------------------------------------------------------


def test_requires_authentication(client: Client) -> None:
    assert_error(client.get("/api/v1/explore"), 401)


def test_invisible_posts_are_left_out_at_once(author: ApiUser, reader: ApiUser) -> None:
    private, suspended, blocker, blocked, muted = (ApiUser() for _ in range(5))
    posts = {caller: caller.create_post() for caller in (private, suspended, blocker, blocked, muted, author)}
    hidden, deleted = author.create_post(), author.create_post()
    everything = [deleted, hidden, *list(posts.values())[::-1]]
    compute_ranking()
    assert list_explore(reader) == everything
    social.follow(reader.id, private.id)
    accounts.update_profile(private.id, {"is_private": True})
    accounts.suspend(suspended.id)
    social.block(blocker.id, reader.id)
    social.block(reader.id, blocked.id)
    social.mute(reader.id, muted.id)
    services.hide_post(int(hidden))
    services.delete_post(int(deleted), author.id)
    for limit in (1, 2, 5):
        assert list_explore(reader, limit) == [posts[author]]
    accounts.update_profile(private.id, {"is_private": False})
    accounts.reinstate(suspended.id)
    social.unblock(blocker.id, reader.id)
    social.unblock(reader.id, blocked.id)
    social.unmute(reader.id, muted.id)
    services.restore_post(int(hidden))
    assert list_explore(reader) == everything[1:]


def test_page_is_full_after_many_filtered_posts(author: ApiUser, reader: ApiUser) -> None:
    seen = author.create_post()
    muted = UserFactory()
    for _ in range(30):
        services.create_post(muted.pk, "x")
    social.mute(reader.id, muted.pk)
    assert list_explore(reader, 1) == [seen]


def test_posts_show_current_counts_and_flags(author: ApiUser, reader: ApiUser) -> None:
    made = author.create_post()
    compute_ranking()
    reader.like(made)
    (row,) = reader.get("/explore")["results"]
    assert row == reader.get(f"/posts/{made}")
    assert (row["like_count"], row["liked"]) == (1, True)


# --- Pages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 100])
def test_paging_stays_in_one_ranking(author: ApiUser, reader: ApiUser, limit: int) -> None:
    posts = [author.create_post() for _ in range(7)][::-1]
    compute_ranking()
    rows: list[str] = []
    url: str | None = f"/explore?limit={limit}"
    while url:
        page = reader.get(url)
        rows += [row["id"] for row in page["results"]]
        url = page["next"] and page["next"].partition("/api/v1")[2]
        reader.like(author.create_post())
        compute_ranking()
    assert rows == posts
    assert list_explore(reader, limit)[-7:] == posts


def test_cursor_survives_deletion_of_its_post(author: ApiUser, reader: ApiUser) -> None:
    posts = [author.create_post() for _ in range(5)][::-1]
    first = reader.get("/explore?limit=2")
    services.delete_post(int(posts[1]), author.id)
    services.delete_post(int(posts[2]), author.id)
    rest = reader.get(first["next"].partition("/api/v1")[2])
    assert [row["id"] for row in rest["results"]] == posts[3:]


def test_long_ranking_is_paged_completely(reader: ApiUser) -> None:
    writer = UserFactory().pk
    posts = [str(services.create_post(writer, "x").pk) for _ in range(120)][::-1]
    assert list_explore(reader, 100) == posts


def test_cursor_of_an_expired_ranking_is_a_400(author: ApiUser, reader: ApiUser, redis_cache: redis.Redis) -> None:
    for _ in range(3):
        author.create_post()
    cursor = reader.get("/explore?limit=1")["next"].partition("/api/v1")[2]
    ExploreRanking.objects.update(created_at=timezone.now() - explore.RANKING_RETENTION - timedelta(minutes=1))
    assert reader.get(cursor)["results"], "not deleted yet"
    rank_explore()
    assert ExploreRanking.objects.count() == 1
    redis_cache.flushdb()
    assert_error(reader.call("get", cursor), 400, "invalid_cursor")
    assert len(reader.get("/explore")["results"]) == 3


@pytest.mark.parametrize(
    "cursor",
    ["x", "", "explore.0000000000000001", "feed.0000000000000001", "explore.1.1", encode_cursor("explore", 9, 9)],
)
def test_malformed_cursor_is_a_400(reader: ApiUser, cursor: str) -> None:
    assert_error(reader.call("get", f"/explore?cursor={cursor}"), 400, "invalid_cursor")


def test_cursor_after_the_end_returns_an_empty_page(author: ApiUser, reader: ApiUser) -> None:
    author.create_post()
    cursor = encode_cursor("explore", compute_ranking(), 2**63 - 1)
    assert reader.get(f"/explore?cursor={cursor}") == EMPTY_PAGE


def test_absent_ranking_is_not_cached(author: ApiUser, reader: ApiUser) -> None:
    author.create_post()
    author.create_post()
    guessed = encode_cursor("explore", compute_ranking() + 1, 0)
    assert_error(reader.call("get", f"/explore?cursor={guessed}"), 400, "invalid_cursor")
    compute_ranking()
    assert len(reader.get(f"/explore?cursor={guessed}")["results"]) == 1


# --- Life cycle --------------------------------------------------------------------------------------


def test_empty_site_has_an_empty_page(reader: ApiUser) -> None:
    assert reader.get("/explore") == EMPTY_PAGE


def test_first_reader_computes_the_first_ranking(author: ApiUser, reader: ApiUser) -> None:
    made = author.create_post()
    assert list_explore(reader) == list_explore(author) == [made]
    assert ExploreRanking.objects.count() == 1


def test_page_is_empty_while_another_process_computes_the_first_ranking(author: ApiUser, reader: ApiUser) -> None:
    made = author.create_post()
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            assert try_acquire_session(cursor, "explore:ranking")
            assert reader.get("/explore")["results"] == []
            rank_explore()
            assert not ExploreRanking.objects.exists()
            release_session(cursor, "explore:ranking")
    finally:
        other.close()
    assert list_explore(reader) == [made], "absence is not cached"


def test_current_ranking_is_cached_for_seconds(author: ApiUser, reader: ApiUser, redis_cache: redis.Redis) -> None:
    assert keys.CURRENT_RANKING_TTL <= 5
    first = author.create_post()
    assert list_explore(reader) == [first]
    # It has a time to live, and may expire before it is kept.
    eventually(lambda: list_explore(reader) == [first] and redis_cache.persist(keys.CURRENT_RANKING))
    second = author.create_post()
    rank_explore()
    assert list_explore(reader) == [first]
    redis_cache.delete(keys.CURRENT_RANKING)
    assert list_explore(reader) == [second, first]


def test_reader_replaces_a_stale_ranking(author: ApiUser, reader: ApiUser) -> None:
    old = author.create_post()
    compute_ranking()
    new = author.create_post()
    assert list_explore(reader) == [old]
    ExploreRanking.objects.update(created_at=timezone.now() - explore.RANKING_STALE_AFTER - timedelta(seconds=1))
    redis.Redis.from_url(settings.REDIS_URL).delete(keys.CURRENT_RANKING)
    assert list_explore(reader) == list_explore(author) == [new, old]
    assert ExploreRanking.objects.count() == 2


def test_expired_rankings_are_deleted(author: ApiUser) -> None:
    author.create_post()
    young, old = compute_ranking(), compute_ranking()
    ExploreRanking.objects.filter(pk=old).update(
        created_at=timezone.now() - explore.RANKING_RETENTION - timedelta(seconds=1)
    )
    ExploreRanking.objects.filter(pk=young).update(
        created_at=timezone.now() - explore.RANKING_RETENTION + timedelta(minutes=1)
    )
    rank_explore()
    assert set(ExploreRanking.objects.values_list("pk", flat=True)) == {young, old + 1}


def test_pages_are_the_same_without_redis(author: ApiUser, reader: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    posts = [author.create_post() for _ in range(3)][::-1]
    compute_ranking()

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
def test_explore_page_query_count(
    reader: ApiUser, size: int, redis_cache: redis.Redis, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(size):
        services.create_post(UserFactory().pk, "x")
    # The ranking expires within seconds, perhaps before it is kept.
    eventually(lambda: reader.get(f"/explore?limit={size}") and redis_cache.persist(keys.CURRENT_RANKING))
    with django_assert_num_queries(2):  # the public authors, the relationships to them
        assert len(reader.get(f"/explore?limit={size}")["results"]) == size
    redis_cache.delete(keys.CURRENT_RANKING, keys.ranking(ExploreRanking.objects.get().pk))
    with django_assert_num_queries(4):  # the newest ranking's id, its posts
        assert len(reader.get(f"/explore?limit={size}")["results"]) == size


def test_whole_ranking_takes_few_scan_batches() -> None:
    """A viewer who mutes almost all authors scans the whole ranking for one page."""
    assert explore.MAX_RANKING_LENGTH <= 2 * MAX_SCAN_BATCH_SIZE


def test_beat_interval_is_below_the_stale_limit() -> None:
    every = settings.CELERY_BEAT_SCHEDULE["rank-explore"]["schedule"]
    assert 2 * every < explore.RANKING_STALE_AFTER.total_seconds()
