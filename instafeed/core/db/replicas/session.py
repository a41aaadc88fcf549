"""What one web request knows about where it may read: the state behind the router.

No session (a Celery task, a command, the shell, the admin, a streamed body): everything reads the primary.
The middleware opens a session before a request and closes it after; a context variable holds it, so
threads and nested calls see their own. Nothing in this module does any input or output.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class Session:
    """The routing state of one request."""

    unsafe: bool = False  # the method may write
    on_primary: bool = False  # for the rest of the request: an unsafe method, a write, a replica that failed
    written: bool = False
    user_id: int | None = None
    stuck: set[int] = field(default_factory=set)
    choice: str | None = None  # the alias of this request's reads, once the first one was routed
    forced: int = 0  # open use_primary() blocks
    before: datetime | None = None  # the innermost bound of reading_before()

    @property
    def users(self) -> set[int]:
        """Whose next reads must see what this request wrote."""
        return self.stuck if self.user_id is None else self.stuck | {self.user_id}


_current: ContextVar[Session | None] = ContextVar("replica_session", default=None)


def current_session() -> Session | None:
    return _current.get()


def begin_session(*, is_write: bool) -> Session:
    """Open a fresh session; `is_write` (an unsafe method) reads the primary from beginning to end."""
    session = Session(unsafe=is_write, on_primary=is_write)
    _current.set(session)
    return session


def end_session() -> None:
    """Back to the primary for everything; harmless without a session."""
    _current.set(None)


def identify_user(user_id: int) -> None:
    """Whose request this is, once the token is verified. A choice made for nobody in particular is undone."""
    if session := _current.get():
        session.user_id = user_id
        session.choice = None


def stick(user_id: int) -> None:
    """This user too, who is not the one that sent the request, must read what it wrote (registration)."""
    if session := _current.get():
        session.stuck.add(user_id)


def mark_written() -> None:
    """The request writes: from here on it reads the primary. The ORM does it by itself; raw SQL needs it
    only in a request with a safe method."""
    if session := _current.get():
        session.written = True
        session.on_primary = True


def fall_back_to_primary() -> None:
    """A replica failed this request: the rest of it reads the primary, which cannot be older."""
    if session := _current.get():
        session.on_primary = True


@contextmanager
def use_primary() -> Iterator[None]:
    """Read the primary within: for what grants access or fills a cache. Also a decorator."""
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
    """Read rows with ids from before `moment` without a hole: within, a replica that is not proved to hold
    everything committed up to then is not used. Nested blocks each hold for their own reads."""
    session = _current.get()
    if session is None:
        yield
        return
    outer, session.before = session.before, moment
    try:
        yield
    finally:
        session.before = outer
