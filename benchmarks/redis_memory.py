"""The memory of keys in the Redis cache."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client


@dataclass(frozen=True)
class RedisUse:
    """Bytes of Redis without the buffers of its clients, and of the keys by the first part of their names."""

    total: float
    by_kind: dict[str, float]
    keys: dict[str, int]  # how many there are, by kind

    @classmethod
    def measure(cls) -> RedisUse:
        client: Any = get_client()
        by_kind, counts = Counter[str](), Counter[str]()
        for key in client.scan_iter(count=1_000):
            kind = keys.kind(key.decode())
            by_kind[kind] += _bytes(key) or 0  # None if it has expired
            counts[kind] += 1
        memory = client.info("memory")
        return cls(memory["used_memory"] - memory["mem_clients_normal"], dict(by_kind), dict(counts))

    def since(self, before: RedisUse, count: int) -> RedisUse:
        """Return what was added for each of `count` users. For a few users, Redis' own buffers may hide it."""
        by_kind = {kind: (size - before.by_kind.get(kind, 0)) / count for kind, size in self.by_kind.items()}
        total = max(0.0, (self.total - before.total) / count)
        return RedisUse(total, {kind: size for kind, size in by_kind.items() if size > 0}, self.keys)

    def per_key(self, *kinds: str) -> float:
        """Return the bytes of one key of each of these kinds."""
        return sum(self.by_kind.get(kind, 0.0) / max(1, self.keys.get(kind, 0)) for kind in kinds)


def bytes_per_entry(name: str) -> float:
    """Return the bytes of a list's key and value, divided by its length."""
    client: Any = get_client()
    return _bytes(name) / client.llen(name)


def measure_yardsticks(timeline: str) -> tuple[float, float]:
    """Return the bytes for an entry of a plain list and of a sorted set with the ids of this timeline."""
    client: Any = get_client()
    ids = [int(each) for each in client.lrange(timeline, 0, -2)]  # without the marker
    plain_list, sorted_set = f"{timeline}:list", f"{timeline}:set"
    client.delete(plain_list, sorted_set)
    client.rpush(plain_list, *ids)
    client.zadd(sorted_set, {post_id: post_id for post_id in ids})
    sizes = _bytes(plain_list) / len(ids), _bytes(sorted_set) / len(ids)
    client.delete(plain_list, sorted_set)
    return sizes


def _bytes(name: str | bytes) -> Any:
    client: Any = get_client()
    return client.memory_usage(name, samples=0)
