"""The ASGI application. Django answers each request in a thread; an accepted stream continues on the event loop.

So authentication, errors, request ids, logs and rate limits are those of all other requests, and an open stream holds
neither a thread nor any object of Django.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core import signals
from django.core.handlers.base import BaseHandler
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from instafeed.core.cache.hints import Hint
from instafeed.stream import places
from instafeed.stream.connection import Connection, Receive, Send
from instafeed.stream.hub import Hub
from instafeed.stream.listener import Listener
from instafeed.stream.views import StreamRequest, StreamResponse

MAX_REQUEST_THREADS = 4  # each with a database connection while it works
_URLS = "instafeed.stream.urls"
Headers = list[tuple[bytes, bytes]]
Scope = MutableMapping[str, Any]


class _Handler(BaseHandler):
    """Django's middleware and views, called as a web server's thread calls them."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware()

    def respond(self, request: StreamRequest) -> HttpResponseBase:
        set_script_prefix("/")
        request.urlconf = _URLS
        signals.request_started.send(type(self), scope=request.scope)
        response: HttpResponseBase = self.get_response(request)
        response.close()  # sends request_finished: the thread gives back its database connections
        return response


class Application:
    """`await close()` ends all streams; without it a server that stops would wait for their clients."""

    def __init__(self) -> None:
        self._handler = _Handler()
        self._threads = ThreadPoolExecutor(MAX_REQUEST_THREADS, thread_name_prefix="requests")
        self._hub: Hub
        self._listener: Listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._run_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            raise ValueError(f"not served: {scope['type']}")

    async def close(self) -> None:
        self._listener.stop()
        await self._hub.close()

    async def _run_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            event = (await receive())["type"]
            if event == "lifespan.startup":
                self._start()
            else:
                await self.close()
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._hub = hub = Hub()
        hub.start()

        def receive(hint: Hint | None) -> None:
            if hint is None:
                loop.call_soon_threadsafe(hub.suspect_all)
            else:
                loop.call_soon_threadsafe(hub.receive, hint)

        self._listener = Listener(receive)
        self._listener.start()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # No path has a query or a body. Django would decode both with any codec that a client names, before its error
        # handlers are active.
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
        request = StreamRequest({**scope, "query_string": b"", "headers": headers}, io.BytesIO())
        try:
            response = await asyncio.get_running_loop().run_in_executor(self._threads, self._handler.respond, request)
            if isinstance(response, StreamResponse) and request.place_of is not None:
                await self._stream(response, receive, send)
            else:
                status, sent = response.status_code, _headers(response)
                await send({"type": "http.response.start", "status": status, "headers": sent})
                content: bytes = getattr(response, "content", b"")
                await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else content})
        finally:
            if request.place_of is not None:
                places.give_back(request.place_of)

    async def _stream(self, response: StreamResponse, receive: Receive, send: Send) -> None:
        connection = Connection(response.subscription, send)
        has_joined = False

        def join() -> None:
            nonlocal has_joined
            self._hub.join(connection)
            has_joined = True

        try:
            await connection.serve(_headers(response), receive, join)
        finally:
            if has_joined:
                self._hub.leave(connection)


def _headers(response: HttpResponseBase) -> Headers:
    return [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
