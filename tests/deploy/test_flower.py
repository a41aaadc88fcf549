"""Flower, started as in docker-compose.yml: access and content."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from instafeed.devstack.child_process import Program
from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT
from tests.deploy import compose_file
from tests.deploy.redis_server import ComposeRedis
from tests.support.eventually import eventually
from tests.support.processes import clean_environment

START = PROJECT_ROOT / "deploy" / "flower-start.sh"
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
OPERATOR = ("operator", "flower-password")
pytestmark = pytest.mark.xdist_group("deploy_redis")


@pytest.fixture(scope="module")
def broker_url(broker: ComposeRedis) -> str:
    return f"redis://:{compose_file.SECRETS['REDIS_BROKER_PASSWORD']}@127.0.0.1:{broker.port}/0"


@pytest.fixture(scope="module")
def worker(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """worker-media of the compose file, idle."""
    service = compose_file.services()["worker-media"]
    environment = clean_environment(
        PATH=PATH,
        DATABASE_URL="postgresql://127.0.0.1:1/instafeed",
        REDIS_URL=settings.REDIS_URL,
        CELERY_BROKER_URL=broker_url,
        SECRET_KEY="a-secret-that-is-long-enough-and-signs-nothing-at-all",
        LOG_LEVEL="INFO",
    )
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    worker = Program("worker-media", log, shlex.split(service["command"]), environment)
    worker.directory = PROJECT_ROOT
    worker.launch()
    try:
        eventually(lambda: "ready." in log.read_text() or not worker.running)
        assert worker.running, log.read_text()
        yield worker
    finally:
        worker.kill()


@pytest.fixture(scope="module")
def flower(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    port = free_port()
    service = compose_file.services(FLOWER_USER=OPERATOR[0], FLOWER_PASSWORD=OPERATOR[1])["flower"]
    local = {"FLOWER_ADDRESS": "127.0.0.1", "FLOWER_PORT": str(port), "CELERY_BROKER_URL": broker_url, "PATH": PATH}
    root = tmp_path_factory.mktemp("flower")
    flower = Program("flower", root / "flower.log", ["sh", str(START)], {**service["environment"], **local})
    flower.directory = root
    flower.launch()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        try:
            eventually(lambda: is_responsive(client))
            yield client
        finally:
            flower.stop()


def is_responsive(client: httpx.Client) -> bool:
    try:
        return client.get("/healthcheck").status_code == 200
    except httpx.TransportError:
        return False


def workers(client: httpx.Client) -> dict[str, Any]:
    found = client.get("/workers", params={"json": 1}, auth=OPERATOR).json()["data"]
    return {worker["hostname"].partition("@")[0]: worker for worker in found}


@pytest.mark.parametrize("missing", ["FLOWER_USER", "FLOWER_PASSWORD"])
def test_password_is_required_to_start(missing: str) -> None:
    given = {"FLOWER_USER": "operator", "FLOWER_PASSWORD": "x", "PATH": PATH, missing: ""}
    refused = subprocess.run(["sh", str(START)], env=given, capture_output=True, text=True, timeout=200)
    assert (refused.returncode, refused.stderr) == (1, "flower: FLOWER_USER and FLOWER_PASSWORD must be set\n")


def test_pages_require_the_password(flower: httpx.Client) -> None:
    for path in ("/", "/workers?json=1", "/tasks", "/api/workers", "/api/tasks"):
        assert flower.get(path).status_code == 401, path
        assert flower.get(path, auth=("operator", "x")).status_code == 401, path
    assert flower.get("/tasks", auth=OPERATOR).status_code == 200


def test_idle_worker_is_shown_as_alive(flower: httpx.Client, worker: Program) -> None:
    """Celery's own heartbeat is off; instafeed.core.jobs.heartbeat sends one every two seconds."""
    eventually(lambda: workers(flower).get("media", {}).get("status"))
    seen = workers(flower)["media"]["heartbeats"][-1]

    def is_alive() -> bool:
        """Return whether it is, by a new heartbeat. Each counts for a few seconds only."""
        media = workers(flower)["media"]
        return bool(media["heartbeats"][-1] > seen and media["status"])

    eventually(is_alive)


def test_access_is_read_only(flower: httpx.Client, worker: Program) -> None:
    eventually(lambda: workers(flower).get("media"))
    hostname = workers(flower)["media"]["hostname"]
    assert flower.post(f"/api/worker/shutdown/{hostname}", auth=OPERATOR).status_code == 403
    assert worker.running


def test_worker_stops_in_time_without_its_broker(worker: Program, broker: ComposeRedis) -> None:
    """Its events must not block it by endless retries."""
    failures = "Cannot connect to"
    before = worker.log.read_text().count(failures)
    broker.stop()
    try:
        eventually(lambda: worker.log.read_text().count(failures) >= before + 2)
        assert worker.running
        os.kill(worker.pid, signal.SIGQUIT)  # the container's stop signal
        assert worker.wait(60)
    finally:
        broker.start()
        worker.launch()
