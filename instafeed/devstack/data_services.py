"""The data services as one context manager, for the stack, the tests and the benchmarks."""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from instafeed.devstack.child_process import Child, Sleep, last_line, stop_children, terminate_leftover
from instafeed.devstack.postgres import Primary, Replica
from instafeed.devstack.redis import BROKER_SETTINGS, CACHE_SETTINGS, CacheCluster, RedisServer
from instafeed.devstack.state import (
    ProcessIdentity,
    StackError,
    StackLayout,
    StackRecord,
    load_or_create_secrets,
    lock_directory,
)

# Variables that commands on the running stack must share with its web server and workers.
_SHARED_VARIABLES = (
    *("CELEBRITY_THRESHOLD", "FAN_OUT_BATCH_SIZE", "FAN_OUT_RATE_LIMIT", "FEED_LENGTH", "FEED_TTL"),
    *("EMAIL_URL", "MAIL_FROM", "SITE_NAME", "SITE_URL", "EMAIL_VERIFY_URL", "PASSWORD_RESET_URL", "POST_URL"),
    *("REQUIRE_VERIFIED_EMAIL", "VAPID_PRIVATE_KEY", "PUSH_SERVICES"),
)
_START_TIMEOUT = 300.0  # seconds; crash recovery after a bulk load is slow


class DataServices:
    """Primary, replicas, cache and broker in one directory. With `redis_nodes` the cache is a Redis Cluster.

    Entering locks the directory (StackError if another stack has the lock), ends processes that an earlier stack left
    behind, starts the servers, and waits until they answer and the replicas follow. Leaving stops them in order.

    * `primary`, `replicas`, `replica` (the first one), `cache_servers`, `cache` (the first one), `broker`: each server
      has `pid`, `running`, `stop()`, `start()`, `kill()`, `pause()` and `resume()`, and keeps its port.
    * `environment`: environment variables for the settings: URLs, secret key, directories.
    * `created`: whether the database has just been created.
    * `record`: the content of `stack.json`; `track()` adds a child to it.

    Enter it in a thread that lives longer than it does: the servers stop when that thread ends. `sleep` is called while
    waiting and may raise to cancel. Without `fsync` the data do not survive a power cut.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        fsync: bool = True,
        sleep: Sleep = time.sleep,
        replicas: int = 1,
        redis_nodes: int = 0,
    ) -> None:
        self.layout = StackLayout(data_dir.absolute())
        self.fsync = fsync
        self.record = StackRecord(ProcessIdentity.of(os.getpid()), port)
        self.created = False
        self.primary: Primary
        self.replicas: list[Replica]
        self.cluster: CacheCluster | None = None
        self.cache_servers: list[RedisServer] = []
        self.broker: RedisServer
        self.secret_key = self.vapid_key = ""
        self._sleep = sleep
        self._replica_count, self._redis_nodes = replicas, redis_nodes
        self._exit = ExitStack()

    @property
    def replica(self) -> Replica:
        return self.replicas[0]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.primary.url(),
            "DATABASE_REPLICA_URLS": ",".join(replica.url() for replica in self.replicas),
            "REDIS_URL": self.cluster.url if self.cluster else self.cache.url,
            "CELERY_BROKER_URL": self.broker.url,
            "SECRET_KEY": self.secret_key,
            "VAPID_PRIVATE_KEY": self.vapid_key,
            "MEDIA_ROOT": str(self.layout.media),
            "INSTAFEED_STATIC_ROOT": str(self.layout.static),
            "EMAIL_URL": f"file:{quote(str(self.layout.mail))}",
            "SITE_URL": os.environ.get("PUBLIC_URL") or f"http://127.0.0.1:{self.record.port or 8000}",
            **{name: os.environ[name] for name in _SHARED_VARIABLES if os.environ.get(name)},
        }

    @property
    def cache(self) -> RedisServer:
        return self.cache_servers[0]

    @property
    def children(self) -> list[Child]:
        """The servers in the order of their start."""
        return [*self.cache_servers, self.broker, self.primary, *self.replicas]

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.enter_context(lock_directory(self.layout))
            self._end_leftovers()
            self._prepare()
            undo.callback(self.layout.record.unlink, missing_ok=True)
            undo.callback(self.stop)
            self._start()
            self.record.environment = self.environment
            self._write_record()
            self._exit = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def track(self, child: Child) -> None:
        """Record each start of this child from now on, so that a later stack can end it."""
        child.on_launch = self._record_start

    def stop(self) -> None:
        """Stop the primary last: it would wait for the replicas to receive its last WAL."""
        stop_children([*self.cache_servers, self.broker, *self.replicas])
        stop_children([self.primary])

    def reset(self) -> None:
        """Empty the database and both Redis servers, as after the first start."""
        self.primary.drop_database()
        self.primary.ensure_database()
        for server in (*self.cache_servers, self.broker):
            with server.client() as client:
                client.flushall()

    def _end_leftovers(self) -> None:
        """End the processes in the record of a killed stack. The lock ensures that no other stack does the same."""
        previous = StackRecord.read(self.layout.record)
        for child in previous.children.values() if previous else ():
            terminate_leftover(child)

    def _prepare(self) -> None:
        for directory in (self.layout.log, self.layout.media, self.layout.mail, self.layout.static):
            directory.mkdir(mode=0o700, exist_ok=True)
        secrets = load_or_create_secrets(self.layout, "database", "redis", "django", "vapid")
        self.secret_key = secrets["django"]
        # A hash of 32 bytes is a private key of P-256, except for one in 2 ** 32.
        self.vapid_key = urlsafe_b64encode(sha256(secrets["vapid"].encode()).digest()).rstrip(b"=").decode()
        self.primary = Primary(self.layout, secrets["database"], fsync=self.fsync)
        self.replicas = [Replica(self.primary, number) for number in range(1, self._replica_count + 1)]
        layout, password = self.layout, secrets["redis"]
        if self._redis_nodes:
            self.cluster = CacheCluster(self._redis_nodes, layout, password)
            self.cache_servers = self.cluster.servers
        else:
            self.cache_servers = [RedisServer("cache", layout.cache, layout.log, password, CACHE_SETTINGS)]
        self.broker = RedisServer("broker", layout.broker, layout.log, password, BROKER_SETTINGS)
        for child in self.children:
            self.track(child)
        self._write_record()

    def _start(self) -> None:
        for server in (*self.cache_servers, self.broker):
            server.launch()
        self.created = self.primary.initialize(self._sleep)
        self._wait_until_ready(self.primary)
        self.primary.ensure_database()
        self.primary.drop_other_slots([replica.name for replica in self.replicas])
        for replica in self.replicas:
            self._wait_until_ready(replica, replica.mend)
        for server in (*self.cache_servers, self.broker):
            self._wait_until_ready(server)
        if self.cluster:
            self._form(self.cluster)

    def _form(self, cluster: CacheCluster) -> None:
        cluster.form()
        deadline = time.monotonic() + _START_TIMEOUT
        while not cluster.is_formed():
            if time.monotonic() > deadline:
                raise StackError(f"the Redis Cluster does not form: {last_line(self.cache.log)}")
            self._sleep(0.05)

    def _wait_until_ready(self, child: Child, mend: Callable[[], None] = lambda: None) -> None:
        """Wait until the child is ready; restart it up to five times.

        A start may fail because backends of a killed server still run, another program has taken the port, or a
        replica needs a new base backup.
        """
        starts, deadline = 0, time.monotonic() + _START_TIMEOUT
        while not child.ready():
            if time.monotonic() > deadline:
                raise StackError(f"{child.name} was not ready in time: {last_line(child.log)}")
            if not child.running:
                if starts == 5:
                    raise StackError(f"{child.name} does not start: {last_line(child.log)}")
                self._sleep(0.5 * starts)
                child.launch()
                starts += 1
            mend()
            self._sleep(0.02)

    def _record_start(self, child: Child) -> None:
        self.record.children[child.name] = ProcessIdentity.of(child.pid)
        self._write_record()

    def _write_record(self) -> None:
        self.record.write(self.layout.record)
