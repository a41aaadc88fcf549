"""Tests of the deployment's files with the real programs.

Without a program, the tests that need it are skipped. With DEPLOY_TESTS=required (as in continuous integration) they
fail.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.loopback import nginx
from instafeed.devstack.state import StackError
from tests.deploy import kustomization
from tests.deploy.balancer import Balancer
from tests.deploy.kustomization import OVERLAYS, Object
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
def promtool() -> str:
    program = shutil.which("promtool")
    if program is None:
        if os.environ.get("DEPLOY_TESTS") == "required":
            pytest.fail("DEPLOY_TESTS=required, and there is no promtool")
        pytest.skip("there is no promtool (Debian: prometheus)")
    return program


@pytest.fixture(scope="session")
def broker() -> Iterator[ComposeRedis]:
    """The broker of the compose file. A test may stop it, and starts it again."""
    with run_redis("redis-broker") as server:
        yield server


@pytest.fixture(scope="module")
def nginx_directory(nginx_program: str) -> Iterator[Path]:
    """Not tmp_path: nginx runs as another account, to which pytest closes that when a second session starts."""
    with tempfile.TemporaryDirectory(prefix="instafeed-nginx-") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def _balancer(nginx_directory: Path) -> Iterator[Balancer]:
    balancer = Balancer(nginx_directory)
    try:
        balancer.program.start()
        yield balancer
    finally:
        balancer.close()


@pytest.fixture
def balancer(_balancer: Balancer) -> Balancer:
    """A balancer whose apps all work and are all in use."""
    dead = [app for app in _balancer.apps if app.dies]
    for app in (*_balancer.apps, _balancer.stream, _balancer.store):
        app.dies = False
        app.status = app.token_status = 200
        app.requests.clear()
    if dead:
        _balancer.restart()
    return _balancer


@pytest.fixture(scope="module")
def postgres_root() -> Iterator[Path]:
    # A socket's path may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="instafeed-pg-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    """The name of an overlay of deploy/kubernetes: once for each."""
    return str(request.param)


@pytest.fixture(scope="module")
def objects(overlay: str) -> list[Object]:
    """The overlay's objects."""
    return kustomization.build(f"overlays/{overlay}")


@pytest.fixture(scope="module")
def production() -> list[Object]:
    """The objects of the overlay `production`."""
    return kustomization.build("overlays/production")
