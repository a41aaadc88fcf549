"""The cost of a page: no SQL and a fixed number of round trips when warm, a fixed number of queries when cold."""

from __future__ import annotations

import pytest
import redis
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from accounts import services as accounts
from accounts import sessions
from accounts.models import User
from feeds import celebrity_transitions, timeline, timeline_store, visible_authors
from instafeed.core.cache import keys
from instafeed.core.db.snowflake import next_ids
from posts.models import Post
from tests.db.feeds.feed_setup import (
    create_old_posts,
    create_posts,
    create_users,
    deliver_all,
    follow,
    post_ids_of,
    read_feed,
)
from tests.support.broken_redis import break_redis
from tests.support.factories import UserFactory
from tests.support.metric_values import MetricChange
from tests.support.redis_round_trips import count_round_trips

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer() -> User:
    """A viewer who follows 12 ordinary authors and 8 celebrities with 3 posts each."""
    viewer = UserFactory()
    authors = create_users(20)
    for author in authors:
        follow(author, viewer)
    User.objects.filter(pk__in=[author.pk for author in authors[:8]]).update(celebrity_pin=True)
    celebrity_transitions.promote([author.pk for author in authors[:8]])
    for _ in range(3):
        for author in authors:
            create_posts(author)
    deliver_all()
    return viewer


def token_of(user: User) -> str:
    return sessions.start(user).access


@pytest.mark.parametrize("limit", [5, 60])
def test_warm_page_takes_no_query_and_two_round_trips(
    viewer: User, limit: int, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    headers = {"Authorization": f"Bearer {token_of(viewer)}"}
    warm = client.get("/api/v1/feed", {"limit": limit}, headers=headers).json()
    assert len(warm["results"]) == limit
    with django_assert_num_queries(0), count_round_trips() as round_trips:
        again = client.get("/api/v1/feed", {"limit": limit}, headers=headers)
    assert again.status_code == 200
    assert again.json() == warm
    assert round_trips == ["pipeline", "pipeline"]


def test_warm_later_page_costs_no_more(
    viewer: User, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    headers = {"Authorization": f"Bearer {token_of(viewer)}"}
    first = client.get("/api/v1/feed?limit=20", headers=headers).json()
    client.get(first["next"], headers=headers)
    with django_assert_num_queries(0), count_round_trips() as round_trips:
        second = client.get(first["next"], headers=headers).json()
    assert len(second["results"]) == 20
    assert round_trips == ["pipeline", "pipeline"]


@pytest.mark.parametrize("limit", [5, 60])
def test_throttling_adds_no_query_and_no_third_round_trip(
    viewer: User, limit: int, client: Client, settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.THROTTLES = settings.THROTTLES | {"user": "3000/minute", "anon": "1200/minute"}
    headers = {"Authorization": f"Bearer {token_of(viewer)}"}
    warm = client.get("/api/v1/feed", {"limit": limit}, headers=headers).json()
    with django_assert_num_queries(0), count_round_trips() as round_trips:
        again = client.get("/api/v1/feed", {"limit": limit}, headers=headers)
    assert again.json() == warm
    assert round_trips == ["pipeline", "pipeline"]


def test_round_trips_do_not_grow_with_celebrities_or_followees(viewer: User) -> None:
    read_feed(viewer)
    with count_round_trips() as few:
        timeline.get_page(viewer.pk, None, 20)
    others = create_users(30)
    for other in others:
        follow(other, viewer)
    celebrity_transitions.promote([other.pk for other in others[:15]])
    for other in others:
        create_posts(other)
    deliver_all()
    read_feed(viewer)
    with count_round_trips() as many:
        timeline.get_page(viewer.pk, None, 20)
    assert len(many) == len(few) == 2


def test_cold_feed_is_rebuilt_with_two_queries(viewer: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    warm = timeline.get_page(viewer.pk, None, 20)
    timeline_store.evict(visible_authors.home_timeline_keys([viewer.pk]))
    # visible authors, post ids
    with django_assert_num_queries(2), count_round_trips() as round_trips:
        assert timeline.get_page(viewer.pk, None, 20) == warm
    # the timelines, the claims, the results of the rebuild, the timelines again, the posts
    assert len(round_trips) == 5


def test_cold_author_timelines_are_rebuilt_with_one_query(
    viewer: User, redis_cache: redis.Redis, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    warm = timeline.get_page(viewer.pk, None, 20)
    redis_cache.delete(*redis_cache.keys(keys.pattern("author")))
    with django_assert_num_queries(1), count_round_trips() as round_trips:
        assert timeline.get_page(viewer.pk, None, 20) == warm
    assert len(round_trips) == 5


def test_page_below_the_timelines_takes_one_query(
    settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.FEED_LENGTH = 5
    author, viewer = create_users(2)
    expected = create_old_posts(author, 20)
    follow(author, viewer)
    assert read_feed(viewer) == expected
    with django_assert_num_queries(1):
        page, _ = timeline.get_page(viewer.pk, expected[9], 5)
    assert post_ids_of(page) == expected[10:15]


def test_viewer_of_very_many_celebrities_is_answered_from_sql(
    viewer: User, monkeypatch: pytest.MonkeyPatch, redis_cache: redis.Redis
) -> None:
    """One call that read thousands of author timelines would block Redis for everyone."""
    expected = read_feed(viewer, 5)
    assert len(expected) == 60
    monkeypatch.setattr(timeline_store, "MAX_AUTHOR_TIMELINES", 8)
    sql_reads = MetricChange("instafeed_feed_reads_total", source="sql")
    assert read_feed(viewer, 5) == expected
    assert sql_reads.by == 0
    monkeypatch.setattr(timeline_store, "MAX_AUTHOR_TIMELINES", 7)
    redis_cache.delete(*redis_cache.keys(keys.pattern("author")))
    assert read_feed(viewer, 5) == expected
    assert sql_reads.by == 12
    assert not redis_cache.keys(keys.pattern("author")), "none was read or rebuilt"


@pytest.mark.parametrize("size", [2, 50])
def test_page_without_redis_takes_a_fixed_number_of_queries(
    viewer: User,
    size: int,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    break_redis(monkeypatch)
    # visible authors, post ids, posts and media, counts, likes, saves, visible authors, summaries
    with django_assert_num_queries(9):
        assert len(timeline.get_page(viewer.pk, None, size)[0]) == size


def test_page_skips_thousands_of_posts_of_a_suspended_author(
    settings: Settings, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    settings.FEED_LENGTH = 20
    author, suspended, viewer = create_users(3)
    expected = create_old_posts(author, 3)
    Post.objects.bulk_create(Post(pk=id_, author=suspended) for id_ in next_ids(3_000))
    follow(author, viewer)
    follow(suspended, viewer)
    accounts.suspend(suspended.pk)
    read_feed(viewer)
    with django_assert_max_num_queries(12):
        page, after = timeline.get_page(viewer.pk, None, 20)
    assert (post_ids_of(page), after) == (expected, None)
    accounts.reinstate(suspended.pk)
    assert len(read_feed(viewer)) == 3_003


def test_unread_count_skips_hidden_posts_in_growing_batches() -> None:
    author, suspended, viewer = create_users(3)
    follow(author, viewer)
    follow(suspended, viewer)
    create_old_posts(author, 3)
    Post.objects.bulk_create(Post(pk=id_, author=suspended) for id_ in next_ids(400))
    accounts.suspend(suspended.pk)
    read_feed(viewer)
    with count_round_trips() as round_trips:
        assert timeline.count_newer(viewer.pk, 0, 2) == (2, True)
    assert len(round_trips) < 40
