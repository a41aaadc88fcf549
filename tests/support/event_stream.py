"""A client of GET /stream for tests: it reads the events of one stream in a thread."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

import httpx

from tests.support.eventually import eventually


class Event(NamedTuple):
    kind: str
    id: str
    data: dict[str, int]


class EventStream:
    """An open stream. `events` grows; `has_ended` is whether the response has ended.

    Fails if the response is not a stream.
    """

    def __init__(self, url: str, headers: dict[str, str], *, last_event_id: str | None = None) -> None:
        resume = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        self._client = httpx.Client(timeout=httpx.Timeout(30, read=None), trust_env=False)
        request = self._client.build_request("GET", url, headers={"Accept": "text/event-stream"} | headers | resume)
        self.response = self._client.send(request, stream=True)
        if self.response.status_code != 200:
            self.response.read()
            self._client.close()
            raise AssertionError(self.response.text)
        self.events: list[Event] = []
        self.comments = 0
        self.has_ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.response.close()
        self._client.close()

    @property
    def last_event_id(self) -> str:
        return self.events[-1].id

    @property
    def posts(self) -> int:
        """The number of new posts that the events have announced."""
        return sum(event.data["count"] for event in self.events if event.kind == "post")

    @property
    def unread(self) -> int | None:
        return next((event.data["unread"] for event in reversed(self.events) if event.kind == "notification"), None)

    def wait_until_begun(self) -> Self:
        eventually(lambda: self.events)  # the first event is the number of unread notifications
        return self

    def _read(self) -> None:
        fields: dict[str, str] = {}
        with suppress(httpx.HTTPError, httpx.StreamError):
            for line in self.response.iter_lines():
                name, _, value = line.partition(":")
                if line:
                    fields[name] = value.removeprefix(" ")
                    self.comments += not name
                elif "data" in fields:
                    self.events.append(Event(fields["event"], fields["id"], json.loads(fields["data"])))
                    fields = {}
                else:
                    fields = {}
        self.has_ended = True
