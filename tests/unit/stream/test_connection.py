"""What a connection sends, and what waits for a client that reads slowly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from instafeed.stream import connection as connection_module
from instafeed.stream.connection import Connection, Message, Subscription
from instafeed.stream.seen_posts import MAX_COUNT

SUBSCRIPTION = Subscription(user_id=1, session_id=None, expires_at=0.0, last_event_id=None)


class Client:
    """Reads while `reads` is set."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.messages: list[Message] = []
        self.is_gone = asyncio.Event()

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        self.messages.append(message)
        if message.get("more_body") is False:
            self.is_gone.set()

    async def receive(self) -> Message:
        await self.is_gone.wait()
        return {"type": "http.disconnect"}

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.messages).decode()


def serve(scenario: Callable[[Client, Connection], Awaitable[None]]) -> Client:
    """Run a scenario on an open connection, then let the client go. Return the client."""

    async def run() -> Client:
        client = Client()
        connection = Connection(SUBSCRIPTION, client.send)
        joined = asyncio.Event()
        serving = asyncio.create_task(connection.serve([], client.receive, joined.set))
        await joined.wait()
        await scenario(client, connection)
        client.is_gone.set()
        await asyncio.wait_for(serving, 60)
        return client

    return asyncio.run(run())


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


def test_events_have_the_id_of_the_newest_post() -> None:
    async def scenario(client: Client, connection: Connection) -> None:
        connection.announce(77, new_posts=2, unread=5)
        await until(lambda: "unread" in client.text)

    text = serve(scenario).text
    assert text.startswith("retry: ")
    assert text.partition("\n\n")[2] == (
        'id: 77\nevent: post\ndata: {"count":2}\n\nid: 77\nevent: notification\ndata: {"unread":5}\n\n'
    )


def test_a_heartbeat_is_a_comment() -> None:
    async def scenario(client: Client, connection: Connection) -> None:
        connection.beat()
        await until(lambda: client.text.endswith(":\n\n"))

    serve(scenario)


def test_events_for_a_client_that_does_not_read_become_one() -> None:
    async def scenario(client: Client, connection: Connection) -> None:
        client.reads.clear()
        connection.announce(1, new_posts=1)
        await asyncio.sleep(0)  # the first event waits in `send`
        for number in range(2, 200):
            connection.announce(number, new_posts=1, unread=number)
            connection.beat()
            await asyncio.sleep(0)
        client.reads.set()
        await until(lambda: "unread" in client.text)

    text = serve(scenario).text
    assert text.count("event: post") == 2
    assert f'id: 199\nevent: post\ndata: {{"count":{MAX_COUNT}}}' in text
    assert text.count('{"unread":199}') == text.count("event: notification") == 1


def test_a_client_that_reads_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "SEND_TIMEOUT", 0.05)

    async def run() -> bool:
        client = Client()
        connection = Connection(SUBSCRIPTION, client.send)
        joined = asyncio.Event()
        serving = asyncio.create_task(connection.serve([], client.receive, joined.set))
        await joined.wait()
        client.reads.clear()
        connection.announce(1, new_posts=1)
        await asyncio.wait_for(serving, 60)
        return client.is_gone.is_set()

    assert asyncio.run(run()) is False


def test_an_ended_stream_is_completed() -> None:
    async def scenario(client: Client, connection: Connection) -> None:
        connection.announce(3, new_posts=1)
        connection.end()
        await client.is_gone.wait()
        connection.announce(4, new_posts=1)

    client = serve(scenario)
    assert [message.get("more_body") for message in client.messages[-2:]] == [True, False]
    assert "id: 3" in client.text
    assert "id: 4" not in client.text
