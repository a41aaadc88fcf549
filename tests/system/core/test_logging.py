"""Log lines of web and worker share the request id, are JSON, and contain no secrets."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from instafeed.devstack.state import StackLayout
from tests.support.eventually import eventually
from tests.support.http_user import PASSWORD, HttpUser
from tests.support.live_stack import LiveStack

PROGRAMS = ("web", "worker", "beat")


def read_log(stack: LiveStack, program: str) -> str:
    return (StackLayout(stack.data_dir).log / f"{program}.log").read_text()


def read_log_lines(stack: LiveStack, program: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read_log(stack, program).splitlines()]


def test_request_id_appears_in_web_and_worker_logs(live_stack: LiveStack) -> None:
    request_id = f"test-{uuid.uuid4().hex}"
    author, follower = HttpUser(live_stack), HttpUser(live_stack)
    follower.follow(author)
    headers = author.headers | {"X-Request-ID": request_id}
    response = live_stack.post("/api/v1/posts", json={"caption": "traced"}, headers=headers)
    assert response.headers["X-Request-ID"] == request_id

    def lines(program: str) -> list[dict[str, Any]]:
        return [line for line in read_log_lines(live_stack, program) if line.get("request_id") == request_id]

    def deliveries() -> list[dict[str, Any]]:
        return [line for line in lines("worker") if line["task"] == "feeds.tasks.deliver_post"]

    eventually(lambda: lines("web"))  # written after the response
    (request,) = lines("web")
    assert (request["method"], request["route"], request["status"]) == ("POST", "/api/v1/posts", 201)
    assert request["user_id"] == int(author.id)
    eventually(deliveries)
    (task,) = deliveries()
    assert task["outcome"] == "success"
    assert task["task_id"]
    other_tasks = [
        line for line in read_log_lines(live_stack, "worker") if line.get("task", "").startswith("instafeed.")
    ]
    assert not [line for line in other_tasks if "request_id" in line], (
        "a periodic task must not keep the id of another task"
    )


@pytest.mark.timeout(120)
def test_log_lines_are_json_without_secrets_during_failures(live_stack: LiveStack) -> None:
    user = HttpUser(live_stack)
    token = user.headers["Authorization"].removeprefix("Bearer ")
    secrets = [token, token[:40], PASSWORD, "hunter2hunter2", live_stack.environment["SECRET_KEY"]]
    secrets += [
        url.partition("@")[0].rpartition(":")[2] for name, url in live_stack.environment.items() if "URL" in name
    ]
    signed_in = live_stack.post("/api/v1/auth/token", json=user.credentials).json()
    secrets += [signed_in["refresh"], signed_in["refresh"][:40]]
    live_stack.post("/api/v1/auth/token", json={"username": "x", "password": "hunter2hunter2"})
    live_stack.post("/api/v1/auth/token/refresh", json={"refresh": signed_in["refresh"]})
    live_stack.get("/api/v1/feed?token=hunter2hunter2", headers={"Authorization": "Bearer hunter2hunter2"})
    live_stack.client.request("POST", "/admin/login/", data={"password": "hunter2hunter2"})
    live_stack.client.request("BREW", "/hunter2hunter2", headers={"Cookie": "sessionid=hunter2hunter2"})
    for part in ("broker", "cache", "replica"):
        live_stack.freeze(part)
        try:
            user.create_post("while it is frozen")
            user.get("/feed")
        finally:
            live_stack.thaw(part)
    live_stack.process("broker").kill()
    live_stack.process("cache").kill()
    user.create_post("while they are dead")
    eventually(lambda: live_stack.get("/health").json()["status"] == "ok")
    eventually(lambda: "unavailable" in read_log(live_stack, "web"))
    for program in PROGRAMS:
        assert read_log_lines(live_stack, program), program
        for secret in filter(None, secrets):
            assert secret not in read_log(live_stack, program), program
    assert {"timestamp", "level", "logger", "event"} <= set.intersection(
        *(set(line) for program in PROGRAMS for line in read_log_lines(live_stack, program))
    )
