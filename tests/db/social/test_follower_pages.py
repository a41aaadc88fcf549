"""Pages of follower ids, as fan-out reads them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from social.models import Follow
from social.selectors import fetch_follower_pages
from tests.support.factories import FollowFactory, UserFactory

pytestmark = pytest.mark.django_db


def test_pages_cover_all_followers_in_ascending_order() -> None:
    author = UserFactory()
    followers = [FollowFactory(followee=author).follower_id for _ in range(7)]
    FollowFactory(follower=author)
    FollowFactory()
    seen: list[int] = []
    while page := fetch_follower_pages([(author.pk, seen[-1] if seen else 0)], 3)[0]:
        assert len(page) <= 3
        seen += page
    assert seen == sorted(followers)


def test_unfollows_between_pages_cause_no_gaps_or_repeats() -> None:
    author = UserFactory()
    followers = sorted(FollowFactory(followee=author).follower_id for _ in range(6))
    (first,) = fetch_follower_pages([(author.pk, 0)], 3)
    Follow.objects.filter(followee=author, follower_id__in=(followers[0], followers[2], followers[3])).delete()
    assert fetch_follower_pages([(author.pk, first[-1])], 3) == [followers[4:]]


def test_unknown_author_has_an_empty_page() -> None:
    assert fetch_follower_pages([(2**60, 0)], 10) == [[]]


def test_pages_of_many_authors_are_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    authors = UserFactory.create_batch(3)
    followers = [[FollowFactory(followee=author).follower_id for _ in range(4)] for author in authors]
    with django_assert_num_queries(1):
        pages = fetch_follower_pages([(author.pk, 0) for author in (*authors, authors[0])], 100)
    assert pages == [*followers, followers[0]]


def test_page_is_an_index_only_scan_of_the_primary_key() -> None:
    authors = UserFactory.create_batch(3)
    fans = UserFactory.create_batch(60)
    Follow.objects.bulk_create(Follow(followee=author, follower=fan) for author in authors for fan in fans)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE social_follow")
        with CaptureQueriesContext(connection) as captured:
            fetch_follower_pages([(authors[1].pk, fans[10].pk)], 20)
        # PostgreSQL prefers a sequential scan for such a small table. Force the plan of a large one.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {captured[0]['sql']}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index Only Scan using social_follow_pkey" in plan
    assert "Sort" not in plan
