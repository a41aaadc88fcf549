"""A steady, mixed load through the load balancer, which records every unexpected response."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from uuid import uuid4

import httpx

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser

REQUEST_INTERVAL = 0.06  # seconds between two requests of a client


class ClientLoad:
    """Inside its `with` block, clients read feeds, create posts with keys, like and unlike, without retries.

    * `failures`: texts about unexpected responses
    * `keys`: the idempotency keys of the created posts, which are also their captions
    * `responses`: the number of responses
    """

    def __init__(self, author: HttpUser, readers: list[HttpUser], post: str) -> None:
        self.failures: list[str] = []
        self.keys: list[str] = []
        self.responses = 0
        self._stopped = threading.Event()
        self._post = post
        jobs: list[tuple[HttpUser, Callable[[httpx.Client], None]]] = [(author, self._write)]
        for reader in readers:
            jobs += [(reader, self._read), (reader, self._like)]
        self._threads = [threading.Thread(target=self._work, args=job) for job in jobs]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def wait_for_responses(self, number: int) -> None:
        """Wait until this many more responses have arrived, or a failure."""
        goal = self.responses + number
        eventually(lambda: self.responses >= goal or self.failures)

    def _work(self, actor: HttpUser, job: Callable[[httpx.Client], None]) -> None:
        with httpx.Client(
            base_url=f"{actor.stack.base_url}/api/v1", headers=actor.headers, timeout=60, trust_env=False
        ) as client:
            while not self._stopped.wait(REQUEST_INTERVAL):
                started = time.monotonic()
                try:
                    job(client)
                except httpx.HTTPError as error:
                    self._fail(job, f"{type(error).__name__}: {error}", started)

    def _request(self, client: httpx.Client, method: str, path: str, expected: int, **more: object) -> None:
        started = time.monotonic()
        response = client.request(method, path, **more)  # type: ignore[arg-type]
        self.responses += 1
        if response.status_code != expected:
            self._fail(self._request, f"{method} {path}: {response.status_code} {response.text[:200]}", started)

    def _fail(self, job: Callable[..., object], text: str, started: float) -> None:
        now = time.monotonic()
        self.failures.append(f"at {now:.1f} after {now - started:.2f} s in {job.__name__}: {text}")

    def _read(self, client: httpx.Client) -> None:
        self._request(client, "GET", "/feed", 200)

    def _like(self, client: httpx.Client) -> None:
        self._request(client, "POST", f"/posts/{self._post}/like", 200)
        self._request(client, "DELETE", f"/posts/{self._post}/like", 200)

    def _write(self, client: httpx.Client) -> None:
        key = uuid4().hex
        self._request(client, "POST", "/posts", 201, json={"caption": key}, headers={"Idempotency-Key": key})
        self.keys.append(key)
