"""Transactions of a test that is rolled back behave as real ones (tests/support/commits.py)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection, transaction
from django.db.transaction import TransactionManagementError, atomic, on_commit
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from social.models import Mute
from tests.support.concurrency import close_connection_after
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def calls() -> list[str]:
    return []


def _fail() -> None:
    raise LookupError("the callback failed")


# --- When callbacks run ------------------------------------------------------------------------------


def test_callback_runs_at_the_end_of_the_outermost_block(calls: list[str]) -> None:
    with atomic():
        with atomic():
            on_commit(partial(calls.append, "first"))
            with atomic(savepoint=False):
                on_commit(partial(calls.append, "second"))
        UserFactory()
        assert calls == []
    assert calls == ["first", "second"]
    with atomic():
        UserFactory()
    assert calls == ["first", "second"], "each callback runs once"


@pytest.mark.parametrize("using", [None, DEFAULT_DB_ALIAS])
def test_callback_runs_for_each_way_to_name_the_database(calls: list[str], using: str | None) -> None:
    @atomic(using=using)
    def register() -> None:
        on_commit(partial(calls.append, "done"), using=using)
        assert calls == []

    register()
    assert calls == ["done"]


def test_callback_outside_a_transaction_runs_at_once(calls: list[str]) -> None:
    on_commit(partial(calls.append, "done"))
    assert calls == ["done"]
    not_callable: Callable[[], object] = "text"  # type: ignore[assignment]
    with pytest.raises(TypeError):
        on_commit(not_callable)


def test_callback_sees_the_rows_and_no_open_transaction(calls: list[str]) -> None:
    def look() -> None:
        calls.append(f"{User.objects.get().username}, {connection.in_atomic_block}, {connection.get_autocommit()}")

    with atomic():
        on_commit(look)
        UserFactory(username="anna")
    assert calls == ["anna, False, True"]


def test_callback_registered_by_a_callback_runs_before_the_next_one(calls: list[str]) -> None:
    def nested() -> None:
        on_commit(partial(calls.append, "nested"))
        with atomic():
            on_commit(partial(calls.append, "after the nested commit"))
            calls.append("nested transaction")

    with atomic():
        on_commit(nested)
        on_commit(partial(calls.append, "last"))
    assert calls == ["nested", "nested transaction", "after the nested commit", "last"]


# --- Rollback ----------------------------------------------------------------------------------------


def test_exception_undoes_rows_and_drops_callbacks(calls: list[str]) -> None:
    kept = UserFactory()
    with pytest.raises(LookupError), atomic():  # noqa: PT012
        on_commit(partial(calls.append, "done"))
        with atomic():
            UserFactory()
        _fail()
    with atomic():
        pass
    assert (calls, list(User.objects.all())) == ([], [kept])


def test_set_rollback_undoes_rows_and_drops_callbacks(calls: list[str]) -> None:
    with atomic():
        on_commit(partial(calls.append, "done"))
        UserFactory()
        transaction.set_rollback(True)
    assert (calls, User.objects.count()) == ([], 0)


def test_inner_rollback_drops_only_its_callbacks(calls: list[str]) -> None:
    with atomic():
        on_commit(partial(calls.append, "outer"))
        with pytest.raises(LookupError), atomic():  # noqa: PT012
            on_commit(partial(calls.append, "inner"))
            UserFactory(username="inner")
            _fail()
        UserFactory(username="outer")
    assert (calls, User.objects.get().username) == (["outer"], "outer")


def test_caught_error_in_a_block_without_savepoint_rolls_all_back(calls: list[str]) -> None:
    with atomic():
        on_commit(partial(calls.append, "done"))
        with pytest.raises(LookupError), atomic(savepoint=False):
            _fail()
        with pytest.raises(TransactionManagementError):
            User.objects.count()
    assert calls == []


def test_deferred_constraint_is_checked_by_the_commit(calls: list[str]) -> None:
    user = UserFactory()
    with pytest.raises(IntegrityError, match="foreign key"), atomic():  # noqa: PT012
        on_commit(partial(calls.append, "done"))
        Mute.objects.create(muter=user, muted_id=user.pk + 1)
        calls.append("created")
    assert (calls, Mute.objects.count()) == (["created"], 0)


# --- Callbacks that fail -----------------------------------------------------------------------------


def test_failed_callback_keeps_the_rows_and_prevents_the_next(calls: list[str]) -> None:
    with pytest.raises(LookupError), atomic():  # noqa: PT012
        on_commit(_fail)
        on_commit(partial(calls.append, "next"))
        UserFactory()
    assert (calls, User.objects.count()) == ([], 1)
    with atomic():
        on_commit(partial(calls.append, "later"))
    assert calls == ["later"]


def test_failed_robust_callback_is_logged(calls: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "django.db.backends.base"):
        with atomic():
            on_commit(_fail, robust=True)
            on_commit(partial(calls.append, "next"))
        on_commit(_fail, robust=True)
    assert calls == ["next"]
    assert ["the callback failed" in message for message in caplog.messages] == [True, True]


# --- Questions about the transaction -----------------------------------------------------------------


def test_durable_block_must_be_the_outermost(calls: list[str]) -> None:
    with atomic(durable=True):
        on_commit(partial(calls.append, "done"))
    assert calls == ["done"]
    with atomic(), pytest.raises(RuntimeError, match="durable"), atomic(durable=True):
        pass


def test_code_outside_a_block_has_no_transaction() -> None:
    UserFactory()
    assert not connection.in_atomic_block
    with pytest.raises(TransactionManagementError, match="outside of a transaction"):
        User.objects.select_for_update().get()
    with pytest.raises(TransactionManagementError, match="outside of an 'atomic' block"):
        transaction.set_rollback(True)
    with atomic():
        assert connection.in_atomic_block
        assert User.objects.select_for_update().get()


def test_transaction_counts_as_begin_and_commit(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(3) as queries, atomic():
        User.objects.exists()
    assert [query["sql"] for query in queries][::2] == ["BEGIN", "COMMIT"]
    with django_assert_num_queries(2) as queries, atomic():
        transaction.set_rollback(True)
    assert [query["sql"] for query in queries] == ["BEGIN", "ROLLBACK"]


def test_temporary_table_ends_with_its_transaction() -> None:
    for _ in range(2):
        with atomic(), connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE numbers (number int) ON COMMIT DROP")


def test_large_result_is_read_across_transactions() -> None:
    UserFactory.create_batch(3)
    names = []
    for user in User.objects.order_by("pk").iterator(chunk_size=1):
        names.append(user.username)
        with atomic():
            user.delete()
    assert len(names) == 3
    assert not User.objects.exists()


# --- Other connections and other tests ---------------------------------------------------------------


def test_another_thread_has_its_own_transactions(calls: list[str]) -> None:
    def work() -> None:
        with atomic():
            with atomic(), atomic():
                on_commit(partial(calls.append, "done"))
            assert calls == []
        assert calls == ["done"]

    with atomic(), ThreadPoolExecutor(1) as pool:
        pool.submit(close_connection_after, work).result()


@pytest.mark.parametrize("turn", ["first", "second"])
def test_rows_do_not_reach_the_next_test(turn: str) -> None:
    assert not User.objects.exists()
    with atomic():
        UserFactory()


def test_connection_of_a_rolled_back_test_cannot_be_closed() -> None:
    user = UserFactory()
    with pytest.raises(AssertionError, match="needs django_db"):
        connection.close()
    assert User.objects.get() == user
