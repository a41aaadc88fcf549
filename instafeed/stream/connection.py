"""One open stream: its client's token, what has not been sent yet, and its end.

What waits for a slow client is a count of posts and whether the unread notifications have changed: it does not grow.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from instafeed.core import compact_json
from instafeed.core.observability.metrics import STREAM_EVENTS
from instafeed.stream.seen_posts import MAX_COUNT

HEARTBEAT_INTERVAL = 25.0  # seconds
SEND_TIMEOUT = 30.0  # seconds for a client that reads nothing, once the buffers of both sides are full
RETRY_MS = (1_000, 5_000)  # when a client connects again: spread, as all streams of a process may end at once

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subscription:
    """An accepted request for a stream."""

    user_id: int
    session_id: int | None
    expires_at: float  # of the token; time.time()
    last_event_id: int | None


class Connection:
    """Call its methods in the event loop's thread."""

    __slots__ = (
        *("subscription", "written_at", "_send", "_posts", "_unread", "_event_id", "_heartbeat"),
        *("_is_ending", "_has_ended", "_writer", "_serving"),
    )

    def __init__(self, subscription: Subscription, send: Send) -> None:
        self.subscription = subscription
        self.written_at = time.monotonic()
        self._send = send
        self._posts = 0
        self._unread: int | None = None  # to be sent
        self._event_id = 0
        self._heartbeat = self._is_ending = self._has_ended = False
        self._writer: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[Any] | None = None

    async def serve(self, headers: list[tuple[bytes, bytes]], receive: Receive, joined: Callable[[], None]) -> None:
        """Send the response, and return when it has ended or the client is gone. Calls `joined` once it has begun."""
        self._serving = asyncio.current_task()
        try:
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._write(b"retry: %d\n\n" % random.randint(*RETRY_MS))
            joined()
            while (await receive())["type"] != "http.disconnect":
                pass  # also when the last part of the response was sent
        except asyncio.CancelledError:
            if not self._is_ending:
                raise
        finally:
            self._has_ended = True
            if self._writer is not None:
                self._writer.cancel()

    def announce(self, event_id: int, *, new_posts: int = 0, unread: int | None = None) -> None:
        """Send what is new; `event_id`, the newest post of the feed, lets the client resume from there."""
        self._posts = min(self._posts + new_posts, MAX_COUNT)
        self._unread = self._unread if unread is None else unread
        self._event_id = event_id
        self._flush()

    def beat(self) -> None:
        """Send a comment, so that all on the way to the client keep the connection."""
        self._heartbeat = True
        self._flush()

    def end(self) -> None:
        """End the response. The client connects again, and then learns whether its token is still good."""
        self._is_ending = True
        self._flush()

    def _flush(self) -> None:
        if self._writer is None and not self._has_ended:
            self._writer = asyncio.create_task(self._write_pending())

    async def _write_pending(self) -> None:
        try:
            while not self._has_ended and (chunk := self._take_chunk()):
                await self._write(chunk)
            if self._is_ending and not self._has_ended:
                self._has_ended = True
                await self._write(b"", more=False)
        except TimeoutError:
            self._is_ending = True
            if self._serving is not None:
                self._serving.cancel()  # the server then closes the connection
        finally:
            self._writer = None

    def _take_chunk(self) -> bytes:
        chunk = b""
        if self._posts:
            chunk += self._event(b"post", {"count": self._posts})
        if self._unread is not None:
            chunk += self._event(b"notification", {"unread": self._unread})
        if self._heartbeat and not chunk:
            chunk = b":\n\n"
        self._posts, self._unread, self._heartbeat = 0, None, False
        return chunk

    def _event(self, name: bytes, data: dict[str, int]) -> bytes:
        STREAM_EVENTS.labels(name.decode()).inc()
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (self._event_id, name, compact_json.encode(data))

    async def _write(self, chunk: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(SEND_TIMEOUT):
            await self._send({"type": "http.response.body", "body": chunk, "more_body": more})
        self.written_at = time.monotonic()
