"""Read warm pages and push posts in a process of its own, on a cache that is not the stack's.

For `ChildProcess`. The settings of Django are those of a process, so each cache has its own process.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

PAGE = 20  # posts


@dataclass(frozen=True)
class Work:
    """What each process does with its cache."""

    viewer_ids: list[int]
    expected: dict[int, list[int]]  # the first page of some viewers
    pages: int
    pushes: int


def serve(pipe: Pipe, url: str) -> None:
    """Set Django up with this cache, and do the work that is asked for."""
    os.environ.update(REDIS_URL=url, DJANGO_SETTINGS_MODULE="instafeed.settings", LOG_LEVEL="WARNING")
    import django

    django.setup()
    calls = {"warm_up": _read_pages, "page": _read_pages, "delivery": _push}
    pipe.send("ready")
    while True:
        kind, work = pipe.recv()
        pipe.send(calls[kind](work))


def _read_pages(work: Work) -> tuple[int, list[float], float, int]:
    from feeds import timeline

    latencies, faults = [], 0
    cpu = time.process_time()
    pages = {}
    for _ in range(work.pages):
        for viewer_id in work.viewer_ids:
            started = time.perf_counter()
            pages[viewer_id], _after = timeline.get_page(viewer_id, None, PAGE)
            latencies.append((time.perf_counter() - started) * 1000)
    cpu = time.process_time() - cpu
    for viewer_id, expected in work.expected.items():
        faults += [int(json.loads(post)["id"]) for post in pages[viewer_id]] != expected
    return len(latencies), latencies, cpu, faults


def _push(work: Work) -> tuple[int, list[float], float, int]:
    from feeds import fanout, timeline_store
    from feeds.timeline_store import Push
    from instafeed.core.db import snowflake

    latencies, faults = [], 0
    size, viewers = fanout.batch_size(), work.viewer_ids
    posts_together, viewers_together = max(1, size // len(viewers)), min(size, len(viewers))
    post_ids = snowflake.next_ids(work.pushes)
    cpu = time.process_time()
    for number in range(0, len(post_ids), posts_together):
        for start in range(0, len(viewers), viewers_together):
            viewer_ids = viewers[start : start + viewers_together]
            pushes = [Push(post_id, viewer_ids) for post_id in post_ids[number : number + posts_together]]
            started = time.perf_counter()
            warm, missed = timeline_store.push_to_home_timelines(pushes)
            latencies.append((time.perf_counter() - started) * 1000)
            faults += warm != [len(viewer_ids)] * len(pushes) or bool(missed)
    return work.pushes * len(viewers), latencies, time.process_time() - cpu, faults
