"""A Celery task that says "there is work", enqueued once for many requests.

A task for each row would cost more than the work on the row, and behind a backlog the queue would fill with tasks
that find nothing to do. So the rows in PostgreSQL are the queue, and the task names none of them.

A mark in Redis says that a look at the rows is coming: a task is enqueued, or a running task looks again soon.
Requests do nothing while it is set. The look begins with the removal of the mark, so rows that were committed before
a request are always found. A periodic task must look too: the mark, or the task, may be lost.
"""

from __future__ import annotations

import time
from contextlib import suppress

from instafeed.core.cache import commands, keys
from instafeed.core.cache.client import CacheUnavailable
from instafeed.core.jobs import enqueue


class CoalescedTask:
    """`task`: its name; it takes no arguments. `countdown`: seconds between a request and the task.

    `mark_ttl`: seconds until the mark expires. It bounds the delay that a lost task causes. While a task waits longer
    than that in a long queue, requests add further tasks.
    """

    def __init__(self, task: str, *, countdown: float = 0, mark_ttl: float = 3.0) -> None:
        self.task, self.countdown, self.mark_ttl = task, countdown, mark_ttl
        self._mark = keys.look_coming(task)
        self._unmarked_until = 0.0

    def request(self) -> bool:
        """Enqueue the task, unless a look is coming. Call it after the commit of the rows.

        Without the cache, each process enqueues one task in `mark_ttl` seconds. Return False if the broker does not
        accept the task; then the periodic task requests it again.
        """
        try:
            is_first = self._set_mark()
        except CacheUnavailable:
            is_first = self._is_first_without_cache()
        if not is_first:
            return True
        if enqueue.try_enqueue(self.task, countdown=self.countdown):
            return True
        self.begin_look()  # the mark must not silence processes that reach the broker
        return False

    def announce_look(self) -> bool:
        """Announce that the caller looks itself soon. False if another look is coming, or Redis does not answer."""
        try:
            return self._set_mark()
        except CacheUnavailable:
            return False

    def _set_mark(self) -> bool:
        (is_set,) = commands.run([("SET", self._mark, 1, "NX", "PX", int(self.mark_ttl * 1000))])
        return bool(is_set)

    def _is_first_without_cache(self) -> bool:
        now = time.monotonic()
        if now < self._unmarked_until:
            return False
        self._unmarked_until = now + self.mark_ttl
        return True

    def begin_look(self) -> None:
        """Remove the mark, before the task looks for rows: later requests enqueue a task again."""
        with suppress(CacheUnavailable):  # the mark expires
            commands.run([("UNLINK", self._mark)])

    def is_look_coming(self) -> bool:
        """Return whether the mark is set."""
        try:
            (count,) = commands.run([("EXISTS", self._mark)])
            return bool(count)
        except CacheUnavailable:
            return False
