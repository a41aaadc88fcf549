"""Followers in keyset pages, as fan-out walks them."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from social import audience
from social.models import Follow
from tests.factories import FollowFactory, UserFactory

pytestmark = pytest.mark.django_db


def test_pages_joined_together_are_the_whole_audience_in_ascending_order() -> None:
    author = UserFactory()
    followers = [FollowFactory(followee=author).follower_id for _ in range(7)]
    FollowFactory(follower=author)  # neither followees
    FollowFactory()  # nor strangers
    met: list[int] = []
    while page := audience.page(author.pk, met[-1] if met else 0, 3):
        assert len(page) <= 3
        met += page
    assert met == sorted(followers)


def test_who_leaves_between_pages_neither_hides_nor_repeats_the_others() -> None:
    author = UserFactory()
    followers = sorted(FollowFactory(followee=author).follower_id for _ in range(6))
    first = audience.page(author.pk, 0, 3)
    Follow.objects.filter(followee=author, follower_id__in=(followers[0], followers[2], followers[3])).delete()
    assert audience.page(author.pk, first[-1], 3) == followers[4:]


def test_nobody_follows_an_unknown_author() -> None:
    assert audience.page(2**60, 0, 10) == []


def test_a_page_is_one_query_however_long(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    author = UserFactory()
    for count in (2, 48):
        for _ in range(count):
            FollowFactory(followee=author)
        with django_assert_num_queries(1):
            audience.page(author.pk, 0, 100)


def test_a_page_is_an_index_only_scan_of_the_primary_key() -> None:
    authors = UserFactory.create_batch(3)
    fans = UserFactory.create_batch(60)
    Follow.objects.bulk_create(Follow(followee=author, follower=fan) for author in authors for fan in fans)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE social_follow")
        with CaptureQueriesContext(connection) as captured:
            audience.page(authors[1].pk, fans[10].pk, 20)
        # A table of a page or two is cheaper to read whole: what counts is the plan of a large one.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {captured[0]['sql']}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index Only Scan using social_follow_pkey" in plan
    assert "Sort" not in plan
