"""The suite's own clean-up: it empties small and grown tables that refer to each other."""

from __future__ import annotations

import pytest
from django.db.transaction import atomic

from posts.models import Comment, Post
from tests.support.database_cleanup import empty_database
from tests.support.factories import UserFactory

ROWS = 2_000  # with long captions more than the 1 MB from which a table is truncated


@pytest.mark.django_db
def test_grown_table_is_emptied_beside_a_small_one_that_refers_to_it() -> None:
    author = UserFactory()
    with atomic():  # TRUNCATE is refused until foreign keys were checked
        Post.objects.bulk_create(Post(pk=number, author=author, caption="x" * 1_000) for number in range(1, ROWS))
        Comment.objects.create(author=author, post_id=1, text="x")
    empty_database()
    assert not Post.objects.exists()
    assert not Comment.objects.exists()
