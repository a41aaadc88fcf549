"""A broker behind Redis Sentinel: two servers and three sentinels, each a child process on a port of 127.0.0.1."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

import redis

from instafeed.devstack.child_process import Child
from instafeed.devstack.ports import free_port
from instafeed.devstack.redis import BROKER_SETTINGS, RedisServer, redis_executable
from instafeed.devstack.state import StackLayout, write_private
from tests.support.eventually import START_TIMEOUT, eventually

MASTER = "broker"
_DOWN_AFTER = 1_000  # milliseconds without an answer after which the sentinels choose another master


class SentinelBroker:
    """A master and its replica; the sentinels know them as MASTER. A killed server stays dead."""

    def __init__(self, layout: StackLayout, password: str) -> None:
        self.password = password  # of the servers, and of the sentinels
        role = {**BROKER_SETTINGS, "masterauth": password}
        self.first = _Server("first", layout, password, role)
        second = role | {"replicaof": f"127.0.0.1 {self.first.port}"}
        self.second = _Server("second", layout, password, second)
        self.sentinels = [_Sentinel(f"sentinel-{number}", layout, self.first, password) for number in range(3)]
        self._exit = ExitStack()

    @property
    def url(self) -> str:
        return ";".join(f"sentinel://:{self.password}@127.0.0.1:{sentinel.port}/0" for sentinel in self.sentinels)

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            for child in (self.first, self.second, *self.sentinels):
                undo.callback(child.stop)
                child.start(START_TIMEOUT)
            eventually(self._is_complete)
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def master_port(self) -> int | None:
        """Return the port of the master that the first sentinel names. None: it does not answer in time."""
        try:
            with self.sentinels[0].client() as client:
                return int(client.sentinel_get_master_addr_by_name(MASTER)[1])
        except redis.RedisError:
            return None

    def _is_complete(self) -> bool:
        """Whether each sentinel knows the replica and the two others."""
        for sentinel in self.sentinels:
            try:
                with sentinel.client() as client:
                    state = client.sentinel_master(MASTER)
            except redis.RedisError:
                return False
            if (state["num-slaves"], state["num-other-sentinels"]) != (1, 2):
                return False
        return True


class _Server(RedisServer):
    """A RedisServer with a directory of its own: the layout knows only those of the stack."""

    def __init__(self, name: str, layout: StackLayout, password: str, role: dict[str, str]) -> None:
        Child.__init__(self, name, layout.log / f"{name}.log")
        self.data = layout.root / name
        self.password = password
        self.port = free_port()
        self._role = role


class _Sentinel(Child):
    def __init__(self, name: str, layout: StackLayout, master: RedisServer, password: str) -> None:
        super().__init__(name, layout.log / f"{name}.log")
        self.port = free_port()
        self._password = password
        self._file = layout.root / f"{name}.conf"
        # The sentinel writes what it learns into this file.
        write_private(
            self._file,
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {password}\nsentinel sentinel-pass {password}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 2\nsentinel auth-pass {MASTER} {password}\n"
            f"sentinel down-after-milliseconds {MASTER} {_DOWN_AFTER}\nsentinel failover-timeout {MASTER} 10000\n",
        )

    def command(self) -> list[str]:
        return [redis_executable(), str(self._file), "--sentinel"]

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=self._password, socket_timeout=1)

    def ready(self) -> bool:
        try:
            with self.client() as client:
                return self.running and bool(client.ping())
        except redis.RedisError:
            return False
