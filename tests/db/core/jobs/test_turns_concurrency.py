"""Turns of jobs that are enqueued at the same time."""

from __future__ import annotations

import pytest

from media.models import ProcessingJob
from tests.support.concurrency import run_concurrently
from tests.support.factories import UserFactory
from tests.support.pictures import enqueue_pictures


@pytest.mark.django_db(transaction=True)
def test_concurrent_uploads_of_one_owner_get_different_turns() -> None:
    owner = UserFactory()
    run_concurrently([lambda: enqueue_pictures(owner, 3)] * 4)
    turns = list(ProcessingJob.objects.values_list("turn", flat=True).order_by("turn"))
    assert turns == list(range(1, 13))
