"""Who writes and who reads, in the tests of posts."""

from __future__ import annotations

import pytest

from tests.posts.callers import Caller


@pytest.fixture
def author() -> Caller:
    return Caller()


@pytest.fixture
def reader() -> Caller:
    return Caller()
