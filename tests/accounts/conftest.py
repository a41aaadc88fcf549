from __future__ import annotations

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def _primary_only(settings: Settings) -> None:
    """Replicas have tests of their own; here a transactional test may not ask one."""
    settings.REPLICA_ALIASES = []
