"""Tests of the deployment's files with the real programs.

Without nginx, the tests that need it are skipped. With DEPLOY_TESTS=required (as in continuous integration) they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from deploy.loopback import nginx
from instafeed.devstack.state import StackError
from tests.deploy.redis_server import ComposeRedis, run_redis


@pytest.fixture(scope="session")
def nginx_program() -> str:
    try:
        return nginx.nginx_executable()
    except StackError as error:
        if os.environ.get("DEPLOY_TESTS") == "required":
            pytest.fail(f"DEPLOY_TESTS=required, and {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def broker() -> Iterator[ComposeRedis]:
    """The broker of the compose file. A test may stop it, and starts it again."""
    with run_redis("redis-broker") as server:
        yield server
