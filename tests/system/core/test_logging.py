"""Log lines of web and worker share the request id, are JSON, and contain no secrets."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
import redis

from instafeed.core.cache import keys
from instafeed.core.jobs import queues
from tests.support.eventually import eventually
from tests.support.http_user import PASSWORD, HttpUser
from tests.support.live_stack import LiveStack

PROGRAMS = ("web", "worker-fan-out", "worker", "beat")
PERIODIC_TASK = "instafeed.core.tasks.sweep_invalidations"


class NewLogs:
    """What web and worker write from now on, and all that beat has written, as it writes at its start only."""

    def __init__(self, stack: LiveStack) -> None:
        self._logs = {program: stack.log(program) for program in PROGRAMS}
        self._sizes = {program: log.stat().st_size for program, log in self._logs.items()} | {"beat": 0}

    def text(self, program: str) -> str:
        """Return all complete lines."""
        return self._logs[program].read_bytes()[self._sizes[program] :].decode().rpartition("\n")[0]

    def lines(self, program: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text(program).splitlines()]


def is_look_coming(stack: LiveStack, task: str) -> bool:
    """Return whether this task is enqueued, or about to look for work again."""
    with redis.Redis.from_url(stack.environment["REDIS_URL"]) as cache:
        return bool(cache.exists(keys.look_coming(task)))


def test_request_id_appears_in_web_and_worker_logs(live_stack: LiveStack) -> None:
    logs = NewLogs(live_stack)
    request_id = f"test-{uuid.uuid4().hex}"
    author, follower = HttpUser(live_stack), HttpUser(live_stack)
    follower.follow(author)
    # A running delivery would take the post along, with the id of another request.
    eventually(lambda: not is_look_coming(live_stack, queues.DELIVER_POSTS))
    headers = author.headers | {"X-Request-ID": request_id}
    response = live_stack.post("/api/v1/posts", json={"caption": "traced"}, headers=headers)
    assert response.headers["X-Request-ID"] == request_id

    def lines(program: str) -> list[dict[str, Any]]:
        return [line for line in logs.lines(program) if line.get("request_id") == request_id]

    def deliveries() -> list[dict[str, Any]]:
        both = lines("worker") + lines("worker-fan-out")
        return [line for line in both if line["task"] == queues.DELIVER_POSTS]

    eventually(lambda: lines("web"))  # written after the response
    (request,) = lines("web")
    assert (request["method"], request["route"], request["status"]) == ("POST", "/api/v1/posts", 201)
    assert request["user_id"] == int(author.id)
    eventually(deliveries)
    (task,) = deliveries()
    assert task["outcome"] == "success"
    assert task["task_id"]


def test_periodic_task_does_not_keep_the_request_id_of_another_task(live_stack: LiveStack) -> None:
    def count_runs() -> float:
        return live_stack.metric("instafeed_tasks_total", task=PERIODIC_TASK)

    logs, runs = NewLogs(live_stack), count_runs()
    HttpUser(live_stack).follow(HttpUser(live_stack))
    eventually(lambda: [line for line in logs.lines("worker") if "request_id" in line])
    eventually(lambda: count_runs() >= runs + 2)
    # A task without a request id is logged at the level DEBUG, so it has no line.
    assert [line for line in logs.lines("worker") if line.get("task") == PERIODIC_TASK] == []


@pytest.mark.kills_a_part
def test_log_lines_are_json_without_secrets_during_failures(live_stack: LiveStack) -> None:
    logs = NewLogs(live_stack)
    user = HttpUser(live_stack)
    token = user.headers["Authorization"].removeprefix("Bearer ")
    secrets = [token, token[:40], PASSWORD, "hunter2hunter2", live_stack.environment["SECRET_KEY"]]
    secrets += [
        url.partition("@")[0].rpartition(":")[2]
        for name, url in live_stack.environment.items()
        if "URL" in name and "@" in url
    ]
    signed_in = live_stack.post("/api/v1/auth/token", json=user.credentials).json()
    secrets += [signed_in["refresh"], signed_in["refresh"][:40]]
    live_stack.post("/api/v1/auth/token", json={"username": "x", "password": "hunter2hunter2"})
    live_stack.post("/api/v1/auth/token/refresh", json={"refresh": signed_in["refresh"]})
    live_stack.get("/api/v1/feed?token=hunter2hunter2", headers={"Authorization": "Bearer hunter2hunter2"})
    live_stack.client.request("POST", "/admin/login/", data={"password": "hunter2hunter2"})
    live_stack.client.request("BREW", "/hunter2hunter2", headers={"Cookie": "sessionid=hunter2hunter2"})
    for part in ("broker", "cache", "replica"):
        with live_stack.paused(part):
            user.create_post("while it hangs")
            user.get("/feed")
    live_stack.kill("broker")
    live_stack.kill("cache")
    user.create_post("while they are dead")
    eventually(lambda: live_stack.get("/health").json()["status"] == "ok")
    eventually(lambda: "unavailable" in logs.text("web") and logs.lines("worker"))
    for program in PROGRAMS:
        assert logs.lines(program), program
        for secret in filter(None, secrets):
            assert secret not in logs.text(program), program
    assert {"timestamp", "level", "logger", "event"} <= set.intersection(
        *(set(line) for program in PROGRAMS for line in logs.lines(program))
    )
