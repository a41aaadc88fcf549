"""When the counts of viewers are read. The reads themselves are replaced; tests/system/stream has the real ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest
from pytest_django import Settings

from instafeed.core.cache.hints import Hint, HintKind
from instafeed.stream import checks, reads
from instafeed.stream import hub as hub_module
from instafeed.stream.checks import Check
from instafeed.stream.connection import Connection, Message, Subscription
from instafeed.stream.hub import MAX_READ_SHARE, Hub
from instafeed.stream.reads import Request, Result
from instafeed.stream.seen_posts import SeenPosts
from posts.notification_list import Unread

READ_INTERVAL = 0.02
LOOKS = 5  # of the hub for viewers whose READ_INTERVAL has passed
HINT = Hint(HintKind.FEEDS, 0.0, (1,))
UNREAD_HINT = Hint(HintKind.NOTIFICATIONS, 0.0, (1,))


class Clock:
    """Stands in for the module `time`: it moves only when a test moves it. `looks` counts how often it was read."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.now

    def time(self) -> float:
        return time.time()


class Reads:
    """Answers for `reads.read_viewers`: each time one more post, after `seconds` that the reads claim to have taken."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.count = 0

    def __call__(self, requests: Sequence[Request]) -> list[Result | None]:
        self.count += 1
        seen = SeenPosts((self.count,), 0)
        return [Result(int(one.seen is not None), seen, Unread(0, 0), {}, self.seconds) for one in requests]


@pytest.fixture(autouse=True)
def _short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "READ_INTERVAL", READ_INTERVAL)
    monkeypatch.setattr(hub_module, "TICK", 0.001)


async def read_twice(found: Reads, monkeypatch: pytest.MonkeyPatch, hints: int, pause: float) -> str:
    """Join a stream, give `hints` hints, and return what its client got after the second read.

    Fails if the hub reads again before `pause` seconds have passed.
    """
    clock = Clock()
    monkeypatch.setattr(hub_module, "time", clock)
    monkeypatch.setattr(reads, "read_viewers", found)
    chunks: list[bytes] = []

    async def send(message: Message) -> None:
        chunks.append(message.get("body", b""))

    hub = Hub()
    hub.start()
    connection = Connection(Subscription(1, None, time.time() + 1_000, None), send)
    hub.join(connection)

    async def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)

    await until(lambda: bool(chunks))
    for _ in range(hints):
        hub.receive(HINT)
    clock.now += 0.9 * pause
    looks = clock.looks
    await until(lambda: clock.looks > looks + LOOKS)
    assert found.count == 1
    clock.now += 0.2 * pause
    await until(lambda: b"event: post" in b"".join(chunks))
    hub.leave(connection)
    await hub.close()
    return b"".join(chunks).decode()


def test_many_hints_cause_one_read_and_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Reads()
    text = asyncio.run(read_twice(found, monkeypatch, hints=50, pause=READ_INTERVAL))
    assert found.count == 2
    assert text.count("event: post") == 1
    assert 'id: 2\nevent: post\ndata: {"count":1}' in text


def test_a_viewer_whose_reads_take_long_is_read_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Reads(seconds=0.2)
    asyncio.run(read_twice(found, monkeypatch, hints=1, pause=0.2 / MAX_READ_SHARE))
    assert found.count == 2


class LiveCheck(Check):
    def is_live(self, session_id: int | None) -> bool:
        return True


def test_a_notification_that_comes_and_goes_between_two_checks_is_noticed(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.STREAM_CHECK_SECONDS = 0.05
    unread = 0
    checked = 0

    def read(requests: Sequence[Request]) -> list[Result | None]:
        return [Result(0, SeenPosts((1,), 0), Unread(unread, unread), {}, 0.0) for _ in requests]

    def check(viewers: Sequence[tuple[int, SeenPosts | None]]) -> dict[int, Check]:
        nonlocal checked
        checked += 1
        return {viewer_id: LiveCheck(None, False, (None, None)) for viewer_id, _ in viewers}  # none at each check

    async def follow() -> None:
        nonlocal unread
        chunks: list[bytes] = []

        async def send(message: Message) -> None:
            chunks.append(message.get("body", b""))

        async def wait_for(text: bytes, count: int) -> None:
            deadline = time.monotonic() + 60
            while b"".join(chunks).count(text) < count:
                assert time.monotonic() < deadline, chunks
                await asyncio.sleep(0.001)

        hub = Hub()
        hub.start()
        connection = Connection(Subscription(1, None, time.time() + 1_000, None), send)
        hub.join(connection)
        await wait_for(b'"unread":0', 1)
        while checked < 3:
            await asyncio.sleep(0.001)
        unread = 1
        hub.receive(UNREAD_HINT)
        await wait_for(b'"unread":1', 1)
        unread = 0  # dismissed, without a hint
        await wait_for(b'"unread":0', 2)
        hub.leave(connection)
        await hub.close()

    monkeypatch.setattr(reads, "read_viewers", read)
    monkeypatch.setattr(checks, "check_viewers", check)
    asyncio.run(follow())
