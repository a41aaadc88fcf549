"""Requests for exports at the same moment."""

from __future__ import annotations

import pytest

from instafeed.exports import requests
from instafeed.exports.models import Export
from tests.support.concurrency import run_concurrently
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)


def test_concurrent_requests_get_one_export() -> None:
    user = UserFactory()
    results = run_concurrently([lambda: requests.request_export(user.pk).pk] * 6)
    assert len(set(results)) == 1
    assert Export.objects.count() == 1
