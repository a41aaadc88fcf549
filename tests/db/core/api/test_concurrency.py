"""Duplicates of a request that arrive while the first one runs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event

import pytest
from django.http import HttpResponse
from rest_framework.exceptions import ValidationError

from accounts.models import User
from instafeed.core.api.idempotency import REPLAYED_HEADER, respond_idempotently
from tests.db.core.api.idempotent_requests import ALICE, create_user, request_of, usernames
from tests.support.concurrency import close_connection_after, run_concurrently
from tests.support.eventually import eventually
from tests.support.factories import UserFactory
from tests.support.lock_waits import count_lock_waiters

pytestmark = pytest.mark.django_db(transaction=True)


class Paused:
    """A `create` function for another thread: it stops half way until told to continue or to fail."""

    def __init__(self) -> None:
        self.arrived, self.resume = Event(), Event()
        self.fails = False

    def __call__(self) -> tuple[int, bytes]:
        response = create_user("first")()
        self.arrived.set()
        assert self.resume.wait(timeout=100)
        if self.fails:
            raise ValidationError("no")
        return response


def respond(create: Callable[[], tuple[int, bytes]]) -> HttpResponse:
    return respond_idempotently(request_of(), ALICE, create)


@pytest.mark.parametrize("first_fails", [False, True])
def test_a_duplicate_waits_and_runs_only_if_the_first_fails(first_fails: bool) -> None:
    paused = Paused()
    with ThreadPoolExecutor(2) as pool:

        def submit(create: Callable[[], tuple[int, bytes]]) -> Future[HttpResponse]:
            return pool.submit(close_connection_after, respond, create)

        first = submit(paused)
        try:
            assert paused.arrived.wait(timeout=100)
            second = submit(create_user("second"))
            eventually(lambda: second.done() or count_lock_waiters())
            assert not second.done()
            paused.fails = first_fails
        finally:
            paused.resume.set()
        response = second.result(timeout=100)
        if first_fails:
            with pytest.raises(ValidationError):
                first.result()
        else:
            assert response.content == first.result().content
    assert usernames() == (["second"] if first_fails else ["first"])
    assert (REPLAYED_HEADER in response) is not first_fails
    assert respond(create_user("third")).content == response.content


def test_concurrent_duplicates_run_once() -> None:
    def create() -> tuple[int, bytes]:
        user = UserFactory()
        return 201, b"%d" % user.pk

    responses = run_concurrently([partial(respond, create)] * 16)
    assert len({response.content for response in responses}) == 1
    assert sum(REPLAYED_HEADER not in response for response in responses) == 1
    assert User.objects.count() == 1
