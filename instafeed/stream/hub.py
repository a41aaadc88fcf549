"""The connected viewers, and when their counts are read.

* A hint marks viewers. Each is read at most once in READ_INTERVAL, however many hints there are, and what one read
  finds goes to all streams of the viewer.
* All viewers are checked regularly, spread over STREAM_CHECK_SECONDS: are their sessions live, was a hint lost?
* When hints may have been lost, because the subscription broke, all viewers are marked.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.conf import settings
from django.db import connections

from instafeed.core.cache.hints import Hint, HintKind
from instafeed.core.observability.metrics import STREAM_HINT_SECONDS, STREAMS_OPEN
from instafeed.stream import checks, reads
from instafeed.stream.checks import Check, Marks
from instafeed.stream.connection import HEARTBEAT_INTERVAL, Connection
from instafeed.stream.reads import Result
from instafeed.stream.seen_posts import SeenPosts
from posts.notification_list import Unread
from social.selectors import filter_followers

READ_INTERVAL = 1.0  # seconds between two reads of a viewer
MAX_READ_SHARE = 0.05  # of a thread, for the reads of one viewer: counting thousands of unread notifications takes long
READ_BATCH_SIZE = 25  # viewers that one job of a thread reads
CHECK_BATCH_SIZE = 100
RETRY_DELAY = 5.0  # seconds, after reads or checks that failed
MAX_READERS = 3  # threads, each with a database connection while it works
TICK = 0.05  # seconds between two looks for marked viewers whose READ_INTERVAL has passed
END_TIMEOUT = 5.0  # seconds for all streams to end
_T = TypeVar("_T")
logger = logging.getLogger(__name__)


class Viewer:
    """A user with streams. `joining` are those without an event so far."""

    __slots__ = (
        *("id", "streams", "joining", "seen", "unread", "marks", "posts_marked", "unread_marked"),
        *("hinted_at", "read_after", "check_at", "is_being_read", "are_marks_current"),
    )

    def __init__(self, user_id: int, now: float) -> None:
        self.id = user_id
        self.streams: list[Connection] = []
        self.joining: list[Connection] = []
        self.seen: SeenPosts | None = None
        self.unread: Unread | None = None
        self.marks: Marks | None = None  # those of the last check, if nothing was read since then
        self.are_marks_current = False  # while a check runs: nothing was marked since it began
        self.posts_marked = self.unread_marked = self.is_being_read = False
        self.hinted_at: float | None = None  # time.time(), of the oldest hint since the last read
        self.read_after = now
        self.check_at = now + random.random() * settings.STREAM_CHECK_SECONDS

    @property
    def connections(self) -> list[Connection]:
        return [*self.streams, *self.joining]


class Hub:
    """Use it in one event loop: `start` before anything else, `close` at the end."""

    def __init__(self) -> None:
        self._viewers: dict[int, Viewer] = {}
        self._marked: dict[int, Viewer] = {}
        self._has_marked = asyncio.Event()
        self._authors: set[int] = set()  # with new posts that followers pull
        self._hinted_at: float | None = None
        self._has_authors = asyncio.Event()
        self._pool = ThreadPoolExecutor(MAX_READERS, thread_name_prefix="reads")
        self._readers = asyncio.Semaphore(MAX_READERS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False

    def start(self) -> None:
        for forever in (self._read_marked, self._find_followers, self._check_all, self._beat):
            self._spawn(_repeat(forever))

    async def close(self) -> None:
        """End all streams and wait until their clients have been sent the end, for up to END_TIMEOUT."""
        self._is_closing = True
        for viewer in self._viewers.values():
            for connection in viewer.connections:
                connection.end()
        deadline = time.monotonic() + END_TIMEOUT
        while self._viewers and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for task in self._tasks:
            task.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    # --- Streams and hints ---------------------------------------------------------------------------

    def join(self, connection: Connection) -> None:
        """Add a stream. Its first events say what is unread, and with a Last-Event-ID how many posts are newer."""
        STREAMS_OPEN.inc()
        now = time.monotonic()
        user_id = connection.subscription.user_id
        viewer = self._viewers.setdefault(user_id, Viewer(user_id, now))
        viewer.joining.append(connection)
        viewer.read_after = now
        self._mark(viewer, unread=True)
        if self._is_closing:
            connection.end()

    def leave(self, connection: Connection) -> None:
        STREAMS_OPEN.dec()
        viewer = self._viewers[connection.subscription.user_id]
        (viewer.joining if connection in viewer.joining else viewer.streams).remove(connection)
        if not viewer.connections:
            del self._viewers[viewer.id]
            self._marked.pop(viewer.id, None)

    def receive(self, hint: Hint) -> None:
        """Mark the connected viewers whom a hint concerns."""
        if hint.kind == HintKind.AUTHORS:
            self._authors.update(hint.ids)
            self._hinted_at = self._hinted_at or hint.published_at
            self._has_authors.set()
            return
        is_feed = hint.kind == HintKind.FEEDS
        for viewer in self._connected(hint.ids):
            self._mark(viewer, posts=is_feed, unread=not is_feed, hinted_at=hint.published_at)

    def suspect_all(self) -> None:
        """Read the counts of all viewers: hints may have been lost."""
        for viewer in self._viewers.values():
            self._mark(viewer, posts=True, unread=True)

    def _connected(self, user_ids: Iterable[int]) -> list[Viewer]:
        return [self._viewers[user_id] for user_id in user_ids if user_id in self._viewers]

    def _is_connected(self, viewer: Viewer) -> bool:
        """Return whether the viewer still has streams. A user who has left and come back is another Viewer."""
        return self._viewers.get(viewer.id) is viewer

    def _mark(
        self, viewer: Viewer, *, posts: bool = False, unread: bool = False, hinted_at: float | None = None
    ) -> None:
        viewer.posts_marked |= posts
        viewer.unread_marked |= unread
        if unread:
            # The next check reads again: an entry that this read counts may be gone before the check.
            viewer.marks, viewer.are_marks_current = None, False
        viewer.hinted_at = viewer.hinted_at or hinted_at
        self._marked[viewer.id] = viewer
        self._has_marked.set()

    # --- Reads ---------------------------------------------------------------------------------------

    async def _read_marked(self) -> None:
        while True:
            await self._has_marked.wait()
            async with self._readers:
                batch = self._take_due(time.monotonic())
            if batch:
                self._spawn(self._read(batch))
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(TICK)

    def _take_due(self, now: float) -> list[Viewer]:
        due = (one for one in self._marked.values() if one.read_after <= now and not one.is_being_read)
        batch = list(itertools.islice(due, READ_BATCH_SIZE))
        for viewer in batch:
            del self._marked[viewer.id]
            viewer.read_after, viewer.is_being_read = now + READ_INTERVAL, True
        if not self._marked:
            self._has_marked.clear()
        return batch

    async def _read(self, batch: Sequence[Viewer]) -> None:
        """Read the viewers' counts in a thread, and announce what is new."""
        joining = [list(viewer.joining) for viewer in batch]
        hinted_at = [viewer.hinted_at for viewer in batch]
        requests = [_request(viewer) for viewer in batch]
        for viewer in batch:
            viewer.posts_marked = viewer.unread_marked = False
            viewer.hinted_at = None
        results = await self._in_thread(reads.read_viewers, requests)
        for viewer, joined, since, request, result in zip(
            batch, joining, hinted_at, requests, results or [None] * len(batch), strict=True
        ):
            viewer.is_being_read = False
            if result is not None:
                viewer.read_after = max(viewer.read_after, time.monotonic() + result.seconds / MAX_READ_SHARE)
                _announce(viewer, joined, result, since)
            elif self._is_connected(viewer):
                viewer.read_after = time.monotonic() + RETRY_DELAY
                self._mark(viewer, posts=request.posts, unread=request.unread, hinted_at=since)

    async def _find_followers(self) -> None:
        """Mark the connected followers of authors whose posts are pulled."""
        while True:
            await self._has_authors.wait()
            self._has_authors.clear()
            authors, hinted_at = self._authors, self._hinted_at
            self._authors, self._hinted_at = set(), None
            followers = await self._in_thread(filter_followers, list(authors), list(self._viewers))
            for viewer in self._connected(followers or ()):
                self._mark(viewer, posts=True, hinted_at=hinted_at)

    # --- Regular work --------------------------------------------------------------------------------

    async def _check_all(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, settings.STREAM_CHECK_SECONDS / 4))
            now = time.monotonic()
            self._end_expired()
            due = [viewer for viewer in self._viewers.values() if viewer.check_at <= now]
            for start in range(0, len(due), CHECK_BATCH_SIZE):
                await self._check(due[start : start + CHECK_BATCH_SIZE])

    def _end_expired(self) -> None:
        now = time.time()
        for viewer in self._viewers.values():
            for connection in viewer.connections:
                if connection.subscription.expires_at <= now:
                    connection.end()

    async def _check(self, batch: Sequence[Viewer]) -> None:
        for viewer in batch:
            viewer.are_marks_current = True
        found = await self._in_thread(checks.check_viewers, [(viewer.id, viewer.seen) for viewer in batch])
        now = time.monotonic()
        for viewer in batch:
            # Never later than STREAM_CHECK_SECONDS after the last check.
            viewer.check_at = now + (
                settings.STREAM_CHECK_SECONDS * random.uniform(0.8, 0.95) if found else RETRY_DELAY
            )
            if found:
                self._apply(viewer, found[viewer.id])

    def _apply(self, viewer: Viewer, check: Check) -> None:
        for connection in viewer.connections:
            if not check.is_live(connection.subscription.session_id):
                connection.end()
        has_unread, are_current = check.marks != viewer.marks, viewer.are_marks_current
        if self._is_connected(viewer) and (check.posts or has_unread):
            self._mark(viewer, posts=check.posts, unread=has_unread)
        if are_current:
            viewer.marks = check.marks

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            latest = time.monotonic() - HEARTBEAT_INTERVAL + 1.0
            for viewer in self._viewers.values():
                for connection in viewer.connections:
                    if connection.written_at <= latest:
                        connection.beat()

    # --- Threads and tasks ---------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[..., _T], *arguments: object) -> _T | None:
        """Return what `work` returns; None if it fails. Its database connections are given back."""
        async with self._readers:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._pool, _isolated, work, *arguments)
            except Exception as error:
                logger.warning("%s failed and is tried again: %s", work.__name__, type(error).__name__)
                return None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _repeat(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run what should never end; begin again after a bug."""
    while True:
        try:
            await work()
        except Exception:
            logger.exception("a part of the hub failed and begins again")
        await asyncio.sleep(1.0)


def _isolated(work: Callable[..., _T], *arguments: object) -> _T:
    try:
        return work(*arguments)
    finally:
        connections.close_all()  # back to the pool: an idle process holds none


def _request(viewer: Viewer) -> reads.Request:
    resumed = (connection.subscription.last_event_id for connection in viewer.joining)
    return reads.Request(
        viewer.id,
        viewer.seen,
        posts=viewer.posts_marked or viewer.seen is None,
        unread=viewer.unread_marked or viewer.unread is None,
        resumed=frozenset(post_id for post_id in resumed if post_id is not None),
    )


def _announce(viewer: Viewer, joined: Collection[Connection], result: Result, hinted_at: float | None) -> None:
    """Announce to the streams what is new to them. `joined` are those that were there when the read began."""
    before, unread = viewer.unread, result.unread or viewer.unread
    has_changed = before is None or (unread is not None and _is_news(before, unread))
    viewer.seen, viewer.unread = result.seen, unread
    newest, count = result.seen.newest, unread.count if unread else 0
    if result.new_posts or has_changed:
        if hinted_at is not None:
            STREAM_HINT_SECONDS.observe(max(0.0, time.time() - hinted_at))
        for connection in viewer.streams:
            connection.announce(newest, new_posts=result.new_posts, unread=count if has_changed else None)
    for connection in joined:
        if connection in viewer.joining:  # it has not left
            viewer.joining.remove(connection)
            viewer.streams.append(connection)
            since = connection.subscription.last_event_id
            connection.announce(newest, new_posts=0 if since is None else result.newer[since], unread=count)


def _is_news(before: Unread, now: Unread) -> bool:
    """A new actor may join an entry that is unread already."""
    return now.count != before.count or now.newest > before.newest
