"""Mails of the running system: a mail server that dies, and workers that are killed while they send."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack
from tests.support.smtp_server import ReceivedMail, SmtpServer

RETRY_SECONDS = 10  # after which a mail is tried again (accounts.mail.outbox)
REGISTRATIONS = 10
DEAD_LETTER = 3  # of instafeed.core.jobs.leased.JobState


@pytest.fixture
def database(live_stack: LiveStack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(live_stack.environment["DATABASE_URL"], autocommit=True) as connection:
        yield connection


@contextmanager
def worker_sends_to(server: SmtpServer, live_stack: LiveStack) -> Iterator[None]:
    with live_stack.restarted("worker", EMAIL_URL=server.url, MAIL_FROM="Tests <noreply@example.org>"):
        yield


def register(live_stack: LiveStack) -> tuple[str, float]:
    """Return the new user's address and the seconds that the registration took."""
    began = time.monotonic()
    user = HttpUser(live_stack)
    return f"{user.username}@example.com", time.monotonic() - began


def end_leases(database: psycopg.Connection) -> None:
    """Let the leases of dead workers end now, which otherwise takes half a minute."""
    database.execute("UPDATE accounts_outgoingmail SET due_at = now() WHERE state = 1")


class Gate:
    """Blocks conversations with a mail server until it is opened. `reached`: what it has blocked, in order."""

    def __init__(self) -> None:
        self.reached: list[ReceivedMail | str] = []
        self._opened = threading.Event()

    def block(self, what: ReceivedMail | str) -> None:
        self.reached.append(what)
        self._opened.wait(300)

    def open(self) -> None:
        self._opened.set()


def count_failed(database: psycopg.Connection, addresses: list[str]) -> int:
    """Count the mails to these addresses that a worker has tried to send."""
    query = "SELECT count(*) FROM accounts_outgoingmail WHERE address = ANY(%s) AND attempts > 0"
    row = database.execute(query, [addresses]).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.restarts_a_program
def test_a_mail_server_that_is_down_delays_mails_and_nothing_else(
    live_stack: LiveStack, database: psycopg.Connection
) -> None:
    with SmtpServer() as server, worker_sends_to(server, live_stack):
        before = [register(live_stack)[0] for _ in range(REGISTRATIONS)]
        eventually(lambda: all(server.sent_to(address) for address in before))
        server.close()
        registered = [register(live_stack) for _ in range(REGISTRATIONS)]
        # If they waited for their mails, each would take longer. A busy machine delays some of them, too.
        assert min(seconds for _, seconds in registered) < RETRY_SECONDS
        meanwhile = [address for address, _ in registered]
        eventually(lambda: count_failed(database, meanwhile) == REGISTRATIONS)
        with SmtpServer(server.port) as again:
            eventually(lambda: all(again.sent_to(address) for address in meanwhile))
            assert [len(again.sent_to(address)) for address in meanwhile] == [1] * REGISTRATIONS


@pytest.mark.kills_a_part
def test_workers_killed_before_the_content_left_send_the_mail_once(
    live_stack: LiveStack, database: psycopg.Connection
) -> None:
    gate = Gate()
    with SmtpServer() as server, worker_sends_to(server, live_stack):
        server.before_recipient = gate.block
        address, _ = register(live_stack)
        for kills in (1, 2):
            eventually(lambda count=kills: gate.reached.count(address) >= count)  # type: ignore[misc]
            live_stack.kill("worker")
            end_leases(database)
        eventually(lambda: gate.reached.count(address) >= 3)
        gate.open()
        eventually(lambda: server.sent_to(address))
        assert len(server.sent_to(address)) == 1
        eventually(lambda: not find_mail(database, address))


@pytest.mark.kills_a_part
def test_workers_killed_before_the_answer_to_the_content_send_the_mail_twice_at_most(
    live_stack: LiveStack, database: psycopg.Connection
) -> None:
    """SMTP leaves it open whether such a mail was accepted. Here each was."""
    gate = Gate()
    with SmtpServer() as server, worker_sends_to(server, live_stack):
        server.before_answer = gate.block
        address, _ = register(live_stack)

        def copies() -> list[ReceivedMail]:
            """Mails of earlier tests, whose workers were killed too, may come here."""
            return [mail for mail in gate.reached if isinstance(mail, ReceivedMail) and mail.recipient == address]

        for kills in (1, 2):
            eventually(lambda count=kills: len(copies()) >= count)  # type: ignore[misc]
            live_stack.kill("worker")
            end_leases(database)
        eventually(lambda: find_mail(database, address) == [(DEAD_LETTER,)])
        other, _ = register(live_stack)
        gate.open()
        eventually(lambda: server.sent_to(other))
        assert len(copies()) == 2
        assert len({copy.message["Message-ID"] for copy in copies()}) == 1


def find_mail(database: psycopg.Connection, address: str) -> list[tuple[int]]:
    return database.execute("SELECT state FROM accounts_outgoingmail WHERE address = %s", [address]).fetchall()
