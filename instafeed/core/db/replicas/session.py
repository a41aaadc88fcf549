"""The routing state of one web request: where its reads may go.

Without a session (a Celery task, a command, the shell, the admin, a streamed body) every read goes to the primary.
The middleware opens a session before a request and closes it afterwards. A context variable holds it, so threads
and nested calls have their own. This module performs no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from instafeed.core.db.snowflake import MAX_ID, timestamp_of_id


@dataclass(slots=True)
class Session:
    """The routing state of one request."""

    unsafe: bool = False  # the method may write
    on_primary: bool = False  # for the rest of the request: an unsafe method, a write, or a replica that failed
    written: bool = False
    user_id: int | None = None  # the user whose next reads must see what this request wrote
    choice: str | None = None  # the alias of this request's reads, once the first read is routed
    forced: int = 0  # the number of open use_primary() blocks
    before: datetime | None = None  # the bound of the innermost reading_before() block


_current: ContextVar[Session | None] = ContextVar("replica_session", default=None)


def current_session() -> Session | None:
    return _current.get()


def begin_session(*, is_write: bool) -> Session:
    """Open a new session. With `is_write` (an unsafe method) the whole request reads from the primary."""
    session = Session(unsafe=is_write, on_primary=is_write)
    _current.set(session)
    return session


def end_session() -> None:
    """Close the session, if there is one: all reads go to the primary again."""
    _current.set(None)


def identify_user(user_id: int) -> None:
    """Set the request's user, once the token is verified. Discards a replica chosen for an anonymous request."""
    if session := _current.get():
        session.user_id = user_id
        session.choice = None


def mark_written() -> None:
    """Record a write: from now on this request reads from the primary.

    The ORM calls this through the router. Raw SQL must call it in a request with a safe method.
    """
    if session := _current.get():
        session.written = True
        session.on_primary = True


def fall_back_to_primary() -> None:
    """Route the rest of this request to the primary, after a replica failed. The primary is never older."""
    if session := _current.get():
        session.on_primary = True


@contextmanager
def use_primary() -> Iterator[None]:
    """Read from the primary inside the block: for access checks and cache fills. Also works as a decorator."""
    session = _current.get()
    if session is None:
        yield
        return
    session.forced += 1
    try:
        yield
    finally:
        session.forced -= 1


@contextmanager
def reading_before(moment: datetime) -> Iterator[None]:
    """Read rows whose ids are from before `moment` without gaps.

    Inside the block a replica is used only if it provably has everything committed by `moment`. Nested blocks
    apply to their own reads.
    """
    session = _current.get()
    if session is None:
        yield
        return
    outer, session.before = session.before, moment
    try:
        yield
    finally:
        session.before = outer


def reading_before_id(id_: int) -> AbstractContextManager[None]:
    """The same for rows whose snowflake ids are below `id_`."""
    return reading_before(timestamp_of_id(min(id_, MAX_ID)))
