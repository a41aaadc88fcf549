"""A request's id leads to the lines of the worker that finished its work; all lines are JSON, none holds a secret."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from instafeed.devstack.state import DataDirectory
from tests.flows.api_user import PASSWORD, ApiUser, eventually
from tests.live_stack import LiveStack

PROGRAMS = ("web", "worker", "beat")


def text_of(stack: LiveStack, program: str) -> str:
    return (DataDirectory(stack.data_dir).log / f"{program}.log").read_text()


def lines_of(stack: LiveStack, program: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text_of(stack, program).splitlines()]


def test_one_id_is_found_in_the_lines_of_web_and_worker(live_stack: LiveStack) -> None:
    request_id = f"test-{uuid.uuid4().hex}"
    author, follower = ApiUser(live_stack), ApiUser(live_stack)
    follower.follow(author)
    headers = author.headers | {"X-Request-ID": request_id}
    answer = live_stack.post("/api/v1/posts", json={"caption": "traced"}, headers=headers)
    assert answer.headers["X-Request-ID"] == request_id

    def lines(program: str) -> list[dict[str, Any]]:
        return [line for line in lines_of(live_stack, program) if line.get("request_id") == request_id]

    (request,) = lines("web")
    assert (request["method"], request["route"], request["status"]) == ("POST", "/api/v1/posts", 201)
    assert request["user_id"] == int(author.id)
    eventually(lambda: lines("worker"))
    (task,) = [line for line in lines("worker") if line["task"] == "feeds.tasks.deliver_post"]
    assert task["outcome"] == "success"
    assert task["task_id"]
    others = [line for line in lines_of(live_stack, "worker") if line.get("task", "").startswith("instafeed.")]
    assert not [line for line in others if "request_id" in line], "a task of nobody's must not keep another's id"


@pytest.mark.timeout(120)
def test_every_line_is_json_and_holds_no_secret_whatever_fails(live_stack: LiveStack) -> None:
    actor = ApiUser(live_stack)
    token = actor.headers["Authorization"].removeprefix("Bearer ")
    secrets = [token, token[:40], PASSWORD, "hunter2hunter2", live_stack.environment["SECRET_KEY"]]
    secrets += [
        url.partition("@")[0].rpartition(":")[2] for name, url in live_stack.environment.items() if "URL" in name
    ]
    signed_in = live_stack.post("/api/v1/auth/token", json=actor.credentials).json()
    secrets += [signed_in["refresh"], signed_in["refresh"][:40]]
    live_stack.post("/api/v1/auth/token", json={"username": "x", "password": "hunter2hunter2"})
    live_stack.post("/api/v1/auth/token/refresh", json={"refresh": signed_in["refresh"]})
    live_stack.get("/api/v1/feed?token=hunter2hunter2", headers={"Authorization": "Bearer hunter2hunter2"})
    live_stack.client.request("POST", "/admin/login/", data={"password": "hunter2hunter2"})
    live_stack.client.request("BREW", "/hunter2hunter2", headers={"Cookie": "sessionid=hunter2hunter2"})
    for part in ("broker", "cache", "replica"):
        live_stack.freeze(part)
        try:
            actor.write("while it is frozen")
            actor.get("/feed")
        finally:
            live_stack.thaw(part)
    live_stack.process("broker").kill()
    live_stack.process("cache").kill()
    actor.write("while they are dead")
    eventually(lambda: live_stack.get("/health").json()["status"] == "ok", 40)
    eventually(lambda: "unavailable" in text_of(live_stack, "web"))
    for program in PROGRAMS:
        assert lines_of(live_stack, program), program
        for secret in filter(None, secrets):
            assert secret not in text_of(live_stack, program), program
    assert {"timestamp", "level", "logger", "event"} <= set.intersection(
        *(set(line) for program in PROGRAMS for line in lines_of(live_stack, program))
    )
