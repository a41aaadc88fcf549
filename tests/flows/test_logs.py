"""A request's id leads to the lines of the worker that finished its work."""

from __future__ import annotations

import uuid

from instafeed.stack.state import Layout
from tests.flows.actors import Actor, eventually
from tests.live import LiveStack


def test_the_workers_lines_carry_the_id_of_the_request_that_caused_them(live_stack: LiveStack) -> None:
    request_id = f"test-{uuid.uuid4().hex}"
    author, follower = Actor(live_stack), Actor(live_stack)
    follower.follow(author)
    headers = author._headers | {"X-Request-ID": request_id}
    answer = live_stack.post("/api/v1/posts", json={"caption": "traced"}, headers=headers)
    assert answer.headers["X-Request-ID"] == request_id
    log = Layout(live_stack.data_dir).log / "worker.log"

    def lines() -> list[str]:
        return [line for line in log.read_text().splitlines() if f"[{request_id}]" in line]

    eventually(lines)
    assert any("feeds.tasks.deliver_post" in line and "succeeded" in line for line in lines())
    sweeps = [line for line in log.read_text().splitlines() if "sweep_fan_outs" in line and "succeeded" in line]
    assert all("[-]" in line for line in sweeps), "a task of nobody's request must not keep another's id"
