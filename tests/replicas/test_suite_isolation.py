"""How the suite's own databases behave: the replica is used where a test names it, and only there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from accounts.models import User
from instafeed.core.db.replicas import session
from instafeed.core.db.replicas.monitor import monitor
from tests.replicas.replica_reads import wait_for_replica


@pytest.fixture
def _safe_request() -> Iterator[None]:
    monitor.check_now()
    session.begin_session(is_write=False)
    yield
    session.end_session()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_safe_request")
def test_a_test_that_does_not_name_the_replica_reads_the_primary() -> None:
    assert User.objects.all().db == "default"
    assert list(User.objects.all()) == []


@pytest.mark.django_db(transaction=True, databases=["default", "replica1"])
@pytest.mark.usefixtures("_safe_request")
def test_a_test_that_names_the_replica_reads_it() -> None:
    wait_for_replica()
    session.begin_session(is_write=False)
    assert User.objects.all().db == "replica1"
    list(User.objects.all())


@pytest.mark.django_db(databases=["default", "replica1"])
@pytest.mark.usefixtures("_safe_request")
def test_a_test_within_a_transaction_reads_the_primary() -> None:
    assert User.objects.all().db == "default"
