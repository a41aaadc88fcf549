"""The suite's own replica is read only in tests that name it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db.transaction import atomic

from accounts.models import User
from instafeed.core.db.replicas import session
from instafeed.core.db.replicas.monitor import monitor
from tests.support.replica_reads import wait_for_replica


@pytest.fixture
def safe_request() -> Iterator[None]:
    monitor.check_now()
    session.begin_session(is_write=False)
    yield
    session.end_session()


@pytest.mark.django_db
@pytest.mark.usefixtures("safe_request")
def test_reads_use_the_primary_by_default() -> None:
    assert User.objects.all().db == "default"
    assert list(User.objects.all()) == []


@pytest.mark.django_db(databases=["default", "replica1"])
@pytest.mark.usefixtures("safe_request")
def test_reads_use_the_replica_in_a_test_that_names_it() -> None:
    wait_for_replica()
    session.begin_session(is_write=False)
    assert User.objects.all().db == "replica1"
    with atomic():
        assert User.objects.all().db == "default"
    assert list(User.objects.all()) == []
