"""Commands for a Redis Cluster: which server each goes to, one round trip to all of them at once.

    run ──▶ split ──▶ _exchange ──▶ join
                       ▲     │
                       └─────┘ redirections, lost scripts

redis-py's `RedisCluster` knows the servers and their slots. Its pipeline is not used: it does not send lost scripts
again and asks one server after the other.

A key that is sent begins with the generation of the server (`instafeed.core.cache.cluster_client`).

Sources: the Redis Cluster specification (MOVED, ASK, TRYAGAIN, CLUSTERDOWN).
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import redis
from redis.cluster import ClusterNode
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    RedisClusterException,
    TryAgainError,
)

from instafeed.core.cache import cluster_parts, keys, lua
from instafeed.core.cache.circuit_breaker import CircuitBreaker
from instafeed.core.cache.client import FAILURE_COOLDOWN, CacheUnavailable, ServersFailed
from instafeed.core.cache.cluster_client import ClusterClient, fetch_generation
from instafeed.core.cache.cluster_parts import Part
from instafeed.core.cache.lua import Command
from instafeed.core.cache.server_connections import ServerConnection
from instafeed.core.observability.metrics import BREAKER_TRIPS

MAX_ROUNDS = 5  # of one call, with redirections
RETRY_DELAY = 0.02  # seconds before another try while a slot moves; it doubles
HURRIED_TIMEOUT = 0.1  # seconds; a server that works answers within a few ms

# Errors of a server that is down, or of a slot that moves.
_OUTAGES = (redis.ConnectionError, redis.TimeoutError, ClusterDownError, AskError, TryAgainError)
logger = logging.getLogger(__name__)


def run(client: ClusterClient, commands: Sequence[Command]) -> list[Any]:
    """Return the replies. Raises CacheUnavailable. Keys of an MGET on a server that fails have no value."""
    parts = cluster_parts.split(commands)
    _execute(client, parts, guarded=True)
    for part in parts:
        if isinstance(part.reply, Exception):
            if part.command[0] != "MGET":
                raise CacheUnavailable(str(part.reply)) from part.reply
            part.reply = [None] * len(part.targets)
    return cluster_parts.join(commands, parts)


def run_unguarded(client: ClusterClient, commands: Sequence[Command]) -> list[Any]:
    """Return the replies. Raises ServersFailed once all servers that answer have executed their commands.

    A server that has just failed is asked again, but not waited for as long.
    """
    parts = cluster_parts.split(commands)
    _execute(client, parts, guarded=False)
    failed = [part for part in parts if isinstance(part.reply, Exception)]
    if failed:
        names = frozenset(key for part in failed for key in part.keys)
        raise ServersFailed(failed[0].reply, names) from failed[0].reply
    return cluster_parts.join(commands, parts)


def run_where_possible(client: ClusterClient, commands: Sequence[Command]) -> list[Any]:
    """Return a reply, or an exception, for each command; none may be spread.

    Raises redis.RedisError if all fail, unless only their servers are down and others are not. A server that has just
    failed is not waited for again.
    """
    parts = cluster_parts.split(commands)
    _execute(client, parts, guarded=True)
    errors = [part.reply for part in parts if isinstance(part.reply, Exception)]
    if errors and len(errors) == len(parts):
        refused = next((error for error in errors if not isinstance(error, _OUTAGES)), None)
        if refused or all(_breakers[node.name].is_open for node in client.get_primaries()):
            raise refused or errors[0]
    return [part.reply for part in parts]


def scan(client: ClusterClient, pattern: str, count: int, key: str | None) -> Iterator[str]:
    """Yield the keys that the present generation of each server, or of that of `key`, wrote, without the generation.

    If the slot of `key` moves, they are on two servers.
    """
    for node in _holders(client, key) if key else client.get_primaries():
        generation, connection = fetch_generation(client, node), client.get_redis_connection(node)
        for name in connection.scan_iter(match=f"{generation}{pattern}", count=count):
            yield name.decode().removeprefix(generation)


def _holders(client: ClusterClient, key: str) -> list[ClusterNode]:
    """Return the server that has the slot of a key now, and the one that it moves to."""
    run_unguarded(client, [("EXISTS", key)])  # follows the slot to a server that we do not know of
    slot = cluster_parts.slot(key)
    owner = _owner(client, slot)
    if owner is None:
        raise ClusterDownError("no server has the slot")
    nodes: dict[str, dict[str, Any]] = client.get_redis_connection(owner).execute_command("CLUSTER NODES")
    targets = {
        migration["node_id"]
        for node in nodes.values()
        if "myself" in node["flags"]
        for migration in node["migrations"]
        if migration["state"] == "migrating" and int(migration["slot"]) == slot
    }
    addresses = [address.rpartition(":") for address, node in nodes.items() if node["node_id"] in targets]
    return [owner, *(_node(client, host, int(port)) for host, _, port in addresses)]


def purge(client: ClusterClient, count: int) -> int:
    """Delete what other generations left on the servers that answer. Return the number of keys."""
    refresh(client)  # servers may have been added or removed
    purged = 0
    for node in client.get_primaries():
        try:
            purged += _purge_server(client, node, count)
        except redis.RedisError as error:
            logger.warning("server %s of the cache is not purged: %s", node.name, error)
    return purged


def _purge_server(client: ClusterClient, node: ClusterNode, count: int) -> int:
    purged = 0
    generation, connection = fetch_generation(client, node).encode(), client.get_redis_connection(node)
    names = connection.scan_iter(match=f"*{keys.PREFIX}*", count=count)
    while batch := list(itertools.islice(names, count)):
        with connection.pipeline(transaction=False) as pipeline:
            for name in batch:
                if not name.startswith(generation):
                    pipeline.unlink(name)
            replies = pipeline.execute(raise_on_error=False)
        purged += sum(reply for reply in replies if isinstance(reply, int))  # a slot that moves refuses some
    return purged


# --- Rounds ------------------------------------------------------------------------------------------


def _execute(client: ClusterClient, parts: list[Part], *, guarded: bool) -> None:
    """Set the reply of each part, and split parts whose slot moves.

    A reply is an exception if the server fails or refuses the command, or if a slot moves for too long.
    """
    pending, delay = parts, RETRY_DELAY
    for number in range(MAX_ROUNDS):
        _exchange(client, pending, guarded=guarded)
        pending = [part for part in pending if isinstance(part.reply, Exception) and _is_to_be_sent_again(client, part)]
        if not pending:
            return
        if any(isinstance(part.reply, ClusterDownError) for part in pending):
            refresh(client)
        for part in list(pending):
            if isinstance(part.reply, TryAgainError) and len(part.targets) > 1:
                split = part.split_by_key()
                for chosen in (parts, pending):
                    chosen.remove(part)
                    chosen.extend(split)
        waits = any(not isinstance(part.reply, MovedError | AskError | NoScriptError) for part in pending)
        if waits and 0 < number < MAX_ROUNDS - 1:
            time.sleep(delay)
            delay *= 2
    for part in pending:
        if isinstance(part.reply, ClusterDownError) and (node := _owner(client, part.slot)):
            _breakers[node.name].trip()  # it would take as long the next time


def _is_to_be_sent_again(client: ClusterClient, part: Part) -> bool:
    part.asked = None
    match part.reply:
        case MovedError() as error:
            client.nodes_manager.move_slot(error)
        case AskError() as error:  # MovedError is one, too
            part.asked = _node(client, error.host, error.port)
        case NoScriptError():
            part.command = list(lua.with_source(tuple(part.command)))
        case TryAgainError() | ClusterDownError():
            pass
        case _:
            return False
    return True


def _exchange(client: ClusterClient, parts: Iterable[Part], *, guarded: bool) -> None:
    """Send the parts to their servers, then read all replies.

    A failure takes a timeout, in which the other servers could answer as well. So they are not waited for as long.
    """
    calls: dict[str, _Call] = {}
    for part in parts:
        node = part.asked or _owner(client, part.slot)
        if node is None:
            part.reply = ClusterDownError("no server has the slot")
            continue
        call = calls.get(node.name)
        if call is None:
            call = calls[node.name] = _Call(client, node)
        call.parts.append(part)
    failed = False
    try:
        for call in calls.values():
            failed |= not call.send(guarded=guarded, hurried=failed)
        for call in calls.values():
            failed |= not call.receive(hurried=failed)
    finally:
        for call in calls.values():
            call.close()
    if failed:
        refresh(client)


class _Call:
    """The parts of a round that go to one server."""

    __slots__ = ("_breaker", "_connection", "_connections", "_is_complete", "_timeout", "_was_open", "node", "parts")

    def __init__(self, client: ClusterClient, node: ClusterNode) -> None:
        self.node, self.parts = node, list[Part]()
        self._breaker = _breakers[node.name]
        self._connections = client.connections(node)
        self._timeout = self._connections.timeout
        self._connection: ServerConnection | None = None
        self._is_complete = False

    def send(self, *, guarded: bool, hurried: bool) -> bool:
        """Return False if the server has failed now."""
        self._was_open = self._breaker.is_open
        if self._was_open and guarded:
            self._answer(redis.ConnectionError("circuit breaker is open"))
            return True
        if self._was_open or hurried:
            self._timeout = min(self._timeout, HURRIED_TIMEOUT)
        try:
            self._connection = self._connections.borrow(self._timeout)
            generation = self._connection.generation
            self._connection.send(b"".join([part.pack(generation) for part in self.parts]))
        except (redis.RedisError, OSError) as error:
            return self._fail(error)
        return True

    def receive(self, *, hurried: bool) -> bool:
        """Return False if the server has failed now."""
        if self._connection is None:
            return True
        try:
            if hurried and self._timeout > HURRIED_TIMEOUT:
                self._timeout = HURRIED_TIMEOUT
                self._connection.limit(self._timeout)
            asked = sum(part.asked is not None for part in self.parts)
            replies = iter(self._connection.read(len(self.parts) + asked))
            for part in self.parts:
                if part.asked is not None:
                    next(replies)  # of ASKING
                part.reply = next(replies)
                if isinstance(part.reply, redis.ConnectionError):  # it loads its data, or refuses the password
                    raise part.reply
        except (redis.RedisError, OSError) as error:
            return self._fail(error)
        self._is_complete = True
        return True

    def close(self) -> None:
        if self._connection is None:
            return
        if self._is_complete:
            self._connections.give_back(self._connection, self._timeout)
        else:  # the next user of the connection must not read the replies that are left
            self._connection.disconnect()

    def _fail(self, error: Exception) -> bool:
        self._answer(error)
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None
        if not self._was_open:  # or writers, who wait for a shorter time, might keep it open for ever
            self._breaker.trip()
            BREAKER_TRIPS.labels("cache").inc()
        logger.warning("server %s of the cache failed: %s", self.node.name, error)
        return False

    def _answer(self, error: Exception) -> None:
        for part in self.parts:
            part.reply = error


# --- Servers -----------------------------------------------------------------------------------------

_breakers: dict[str, CircuitBreaker] = defaultdict(lambda: CircuitBreaker(FAILURE_COOLDOWN))  # by name of the server
_refreshing = threading.Lock()
_refreshed_at: WeakKeyDictionary[ClusterClient, float] = WeakKeyDictionary()


def _node(client: ClusterClient, host: str, port: int) -> ClusterNode:
    return client.get_node(host, port) or _new_node(host, port)


@lru_cache
def _new_node(host: str, port: int) -> ClusterNode:
    """A server that has no slots yet, so that the client does not know it."""
    return ClusterNode(host, port)


def _owner(client: ClusterClient, slot: int) -> ClusterNode | None:
    nodes = client.nodes_manager.slots_cache.get(slot)
    return nodes[0] if nodes else None


def owner_name(client: ClusterClient, key: str) -> str | None:
    """Return the name of the server that has this key's slot."""
    node = _owner(client, cluster_parts.slot(key))
    return node.name if node else None


def reset() -> None:
    """Forget failures of servers: in a forked process, and for tests."""
    global _refreshing
    _breakers.clear()
    _refreshed_at.clear()
    _refreshing = threading.Lock()  # a thread that the fork did not copy may have held it


os.register_at_fork(after_in_child=reset)


def refresh(client: ClusterClient, failed: Collection[str] = ()) -> None:
    """Ask servers which one has which slot now; not while another thread does, nor within the cooldown.

    It takes a timeout for each server that is frozen, unless it is one of `failed`, by name, or failed lately.
    """
    if time.monotonic() < _refreshed_at.get(client, -math.inf) + FAILURE_COOLDOWN:
        return
    if not _refreshing.acquire(blocking=False):
        return
    manager = client.nodes_manager
    try:
        # redis-py asks them in any order until one answers, then the additional ones. It would forget those, and all
        # servers that it knows may have got other addresses.
        manager.startup_nodes = {
            name: node
            for name, node in manager.nodes_cache.items()
            if name not in failed and not _breakers[name].is_open
        }
        manager.initialize(additional_startup_nodes_info=client.start_servers, disconnect_startup_nodes_pools=False)
        client.forget_former_servers()
    except (redis.RedisError, RedisClusterException, OSError, IndexError) as error:  # IndexError: no server has a slot
        logger.warning("the servers of the cache are unknown: %s", error)
    finally:
        _refreshed_at[client] = time.monotonic()
        _refreshing.release()
