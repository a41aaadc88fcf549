"""Advisory locks: exclusive ones exclude each other, shared ones do not, and all end with their transaction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from instafeed.core.db.advisory_locks import Lock, acquire, release_session, try_acquire, try_acquire_session

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other() -> Iterator[BaseDatabaseWrapper]:
    copy = connection.copy()
    yield copy
    copy.close()


def test_try_acquire_fails_while_another_session_holds_the_lock(other: BaseDatabaseWrapper) -> None:
    with other.cursor() as cursor:
        assert try_acquire_session(cursor, "a")
        with transaction.atomic():
            assert not try_acquire("a")
            assert try_acquire("b")
        release_session(cursor, "a")
    with transaction.atomic():
        assert try_acquire("a")


def test_locks_end_with_the_transaction(other: BaseDatabaseWrapper) -> None:
    with transaction.atomic():
        acquire(Lock("a"), Lock("b", is_shared=True))
        with other.cursor() as cursor:
            assert not try_acquire_session(cursor, "a")
            assert not try_acquire_session(cursor, "b")
    with other.cursor() as cursor:
        assert try_acquire_session(cursor, "a")


def test_shared_locks_do_not_exclude_each_other(other: BaseDatabaseWrapper) -> None:
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock_shared(hashtextextended('a', 0))")
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '100ms'")
        acquire(Lock("a", is_shared=True))
        assert not try_acquire("a")
