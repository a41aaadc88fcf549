"""The breaker of the primary: it opens and closes with the answers of the primary, also after unexpected errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from instafeed.core.db.primary import breaker as breaker_module
from instafeed.core.db.primary.breaker import PrimaryBreaker
from tests.support.eventually import eventually


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException | None]]:
    """What the primary answers to the probes, in turn; the last answer is repeated. None: it works."""
    given: list[BaseException | None] = [None]
    monkeypatch.setattr(breaker_module, "PROBE_INTERVAL", 0.0)

    def query_row(alias: str, query: str) -> tuple[int]:
        answer = given.pop(0) if len(given) > 1 else given[0]
        if answer is not None:
            raise answer
        return (1,)

    monkeypatch.setattr(breaker_module, "query_row", query_row)
    yield given
    given[:] = [None]


def test_breaker_closes_when_the_primary_answers(answers: list[BaseException | None]) -> None:
    answers[:] = [psycopg.OperationalError("timeout")]
    breaker = PrimaryBreaker()
    breaker.trip("a statement has timed out")
    assert breaker.is_open
    answers[:] = [None]
    eventually(lambda: not breaker.is_open)


@pytest.mark.parametrize("error", [OSError(24, "too many open files"), MemoryError(), RuntimeError()])
def test_probe_survives_any_error(answers: list[BaseException | None], error: Exception) -> None:
    answers[:] = [error, error, None]
    breaker = PrimaryBreaker()
    breaker.trip("frozen")
    eventually(lambda: not breaker.is_open)


def test_busy_pool_does_not_open_the_breaker(answers: list[BaseException | None]) -> None:
    breaker = PrimaryBreaker()
    breaker.suspect("no connection within a second")
    eventually(lambda: "primary-probe" not in [thread.name for thread in threading.enumerate()])
    assert not breaker.is_open


def test_lack_of_connections_is_an_answer(answers: list[BaseException | None]) -> None:
    answers[:] = [psycopg.OperationalError("FATAL:  sorry, too many clients already")]
    breaker = PrimaryBreaker()
    breaker.trip("frozen")
    eventually(lambda: not breaker.is_open)


def test_breaker_stays_usable_without_threads(
    answers: list[BaseException | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    breaker = PrimaryBreaker()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            breaker.trip("frozen")
    assert not breaker.is_open
    breaker.trip("frozen")
    eventually(lambda: not breaker.is_open)
