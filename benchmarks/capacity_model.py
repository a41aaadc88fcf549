"""What a site needs, computed from measured costs: pure arithmetic, without Django and the stack.

An operation costs CPU time on several parts. The rates of all operations at the peak give the cores that each part
uses. Some parts cannot be spread over more processes or servers: they limit the site.

Costs are the figures of `python -m benchmarks capacity` by name: `{operation}_cpu_{part}_ms`, `{operation}_wal_bytes`
and so on. A missing figure of a pair of operation and part means that the operation does not use the part.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

# `replica` is what reads use, which replicas share. Of writes it is the replay of the WAL, which each replica does.
PARTS = ("web", "fan_out", "notifications", "media", "cache", "broker", "primary", "replica")
READS = ("page", "hybrid_page", "cold_page", "list")
WRITES = ("like", "notification", "post", "fan_out", "delivery", "cold_delivery", "picture")
# The cores of all parts together, if they run on one machine.
HOST = "host"
SECONDS_A_DAY = 86_400
GB = 1e9

Figures = Mapping[str, float]


def _input(default: float, meaning: str, *, least: float = 0, most: float = 1e15) -> float:
    """Return a field with a default. Its meaning and bounds are those of the option of `capacity_plan`."""
    value: float = field(default=default, metadata={"help": meaning, "least": least, "most": most})
    return value


@dataclass(frozen=True)
class Profile:
    """How many users a site has, and what they do. The defaults give 500 requests/s at the peak of a million users."""

    users: float = _input(1_000_000, "users of the site", least=1)
    daily_active: float = _input(0.36, "share of the users who are active on a day", most=1)
    weekly_active: float = _input(0.6, "share of the users whose home timelines are in Redis (FEED_TTL)", most=1)
    pages: float = _input(36, "pages of the feed, for each active user and day")
    lists: float = _input(0, "pages of posts of one user, for each active user and day")
    likes: float = _input(3.6, "likes, for each active user and day")
    posts: float = _input(0.4, "posts, for each active user and day")
    pictures: float = _input(1, "pictures of a post")
    hybrid: float = _input(0.5, "share of the pages that are of users who follow celebrities", most=1)
    cold: float = _input(0.01, "share of the pages whose home timeline is rebuilt", most=1)
    follows: float = _input(20, "accounts that a user follows")
    audience: float = _input(116, "followers of a post's author, without celebrities, whose posts are not pushed")
    timeline: float = _input(500, "posts in a home timeline (FEED_LENGTH)")
    cached_days: float = _input(7, "days of posts that are read, and therefore in Redis")
    days: float = _input(365, "days of posts and likes on disk")
    peak: float = _input(3, "requests in a second of the peak, divided by those in an average second")


@dataclass(frozen=True)
class Hardware:
    """What a server has."""

    utilisation: float = _input(
        0.5, "share of the cores in use at the peak; above it latencies grow", least=0.01, most=1
    )
    host_cores: float = _input(8, "cores of one machine with all parts", least=1)
    cache_gb: float = _input(8, "memory of one Redis server in GB", least=1)
    cache_servers: float = _input(16, "most Redis servers (FEED_BUCKETS)", least=1)
    database_cores: float = _input(32, "cores of the primary, and of each replica", least=1)
    disk_gb: float = _input(16_000, "disk of the primary, and of each replica, in GB", least=1)


@dataclass(frozen=True)
class Limit:
    """What gives first, and when: in operations a second, or in users."""

    part: str
    at: float


@dataclass(frozen=True)
class Plan:
    """What a site needs at its peak. `cores` are those in use; counts leave room for the target utilisation."""

    profile: Profile
    rates: dict[str, float]  # operations a second
    cores: dict[str, float]  # by part; `replay` is that of each replica, `replica` the reads of all
    processes: dict[str, int]  # of web, fan_out and media
    cache_bytes: float
    cache_servers: int
    primary_cores: int
    replicas: int
    replica_cores: int  # of each
    disk_bytes: float  # of the primary, and of each replica
    wal_bytes: float  # a second
    sent_bytes: float  # a second, to clients
    cache_sent_bytes: float  # a second, of all servers of the cache
    media_bytes: float  # a year, in the object storage
    host_limits: list[Limit]  # in users, the first one first: everything on one machine
    limits: list[Limit]  # the same with every part on as many machines as it can use


def plan(costs: Figures, profile: Profile, hardware: Hardware) -> Plan:
    """Compute what a site needs. Raise KeyError if a size is missing in the costs."""
    at_peak = rates(profile)
    cores = cores_by_part(costs, at_peak)
    memory, disk = cache_bytes(costs, profile), disk_bytes(costs, profile)
    share = hardware.utilisation
    replicas = _replicas(cores, hardware)
    return Plan(
        profile,
        at_peak,
        cores,
        processes={part: _servers(cores[part], share) for part in ("web", "fan_out", "media")},
        cache_bytes=memory,
        cache_servers=max(_servers(cores["cache"], share), _servers(memory, hardware.cache_gb * GB)),
        primary_cores=_servers(cores["primary"], share),
        replicas=replicas,
        replica_cores=_servers(cores["replica"] / replicas + cores["replay"], share),
        disk_bytes=disk,
        wal_bytes=_weighted(costs, at_peak, "{}_wal_bytes"),
        sent_bytes=_weighted(costs, at_peak, "{}_sent_bytes"),
        cache_sent_bytes=_weighted(costs, at_peak, "{}_cache_sent_bytes"),
        media_bytes=365 * _daily(profile, profile.posts) * profile.pictures * costs["picture_stored_bytes"],
        host_limits=_host_limits(profile, hardware, cores, memory, disk),
        limits=_limits(profile, hardware, cores, memory, disk),
    )


def rates(profile: Profile) -> dict[str, float]:
    """Return the operations a second at the peak."""
    per_second = profile.peak / SECONDS_A_DAY
    pages, posts = (_daily(profile, each) * per_second for each in (profile.pages, profile.posts))
    likes = _daily(profile, profile.likes) * per_second
    warm_pages = pages * (1 - profile.cold)
    deliveries = posts * profile.audience
    return {
        "page": warm_pages * (1 - profile.hybrid),
        "hybrid_page": warm_pages * profile.hybrid,
        "cold_page": pages * profile.cold,
        "list": _daily(profile, profile.lists) * per_second,
        "like": likes,
        "notification": likes,
        "post": posts,
        "fan_out": posts,
        "delivery": deliveries * profile.weekly_active,
        "cold_delivery": deliveries * (1 - profile.weekly_active),
        "picture": posts * profile.pictures,
    }


def cores_by_part(costs: Figures, at_peak: Mapping[str, float]) -> dict[str, float]:
    """Return the cores that each part uses, `replica` for reads and `replay` on each replica for writes."""
    cores = {part: _cores(costs, at_peak, part, (*READS, *WRITES)) for part in PARTS}
    return cores | {
        "replica": _cores(costs, at_peak, "replica", READS),
        "replay": _cores(costs, at_peak, "replica", WRITES),
    }


def cache_bytes(costs: Figures, profile: Profile) -> float:
    """Return the memory of the cache: what it has of each user of a week, and of each post that is read."""
    user = costs["user_cache_bytes"] + profile.timeline * costs["entry_cache_bytes"]
    posts = _daily(profile, profile.posts) * profile.cached_days
    return profile.users * profile.weekly_active * user + posts * costs["post_cache_bytes"]


def disk_bytes(costs: Figures, profile: Profile) -> float:
    """Return the tables and indexes after `profile.days`, without WAL and room for vacuum."""
    user = costs["user_disk_bytes"] + profile.follows * costs["follow_disk_bytes"]
    day = profile.posts * costs["post_disk_bytes"] + profile.likes * costs["like_disk_bytes"]
    return profile.users * user + profile.days * _daily(profile, 1) * day


def throughput(cost: Mapping[str, float], cores: Mapping[str, float], waiting: Collection[str] = ()) -> Limit:
    """Return how many operations a second are possible, and the part that gives first.

    `cost`: CPU milliseconds of an operation by part. `cores`: how many each part can use; with `HOST`, how many all of
    them share. A process of a part in `waiting` does one thing at a time, and waits while the others work for it.
    """
    total = sum(cost.values())
    busy = {**cost, HOST: total, **{part: total for part in waiting if part in cost}}
    limits = [Limit(part, 1000 * cores[part] / ms) for part, ms in busy.items() if part in cores and ms > 0]
    return min(limits, key=lambda limit: limit.at)


def mean_cost(costs: Figures, shares: Mapping[str, float]) -> dict[str, float]:
    """Return the CPU milliseconds by part for one request, of which each operation makes up a share."""
    return {part: 1000 * _cores(costs, shares, part, shares) for part in PARTS}


def _host_limits(
    profile: Profile, hardware: Hardware, cores: Mapping[str, float], memory: float, disk: float
) -> list[Limit]:
    """Everything once on one machine, with one replica."""
    loads = _single(cores, hardware) | {
        "the host's cores": (sum(cores.values()), hardware.host_cores * hardware.utilisation),
        "the cache's core": (cores["cache"], hardware.utilisation),
        "the cache's memory": (memory, hardware.cache_gb * GB),
        "the disk": (2 * disk, hardware.disk_gb * GB),
    }
    return _sorted_limits(profile, loads)


def _limits(
    profile: Profile, hardware: Hardware, cores: Mapping[str, float], memory: float, disk: float
) -> list[Limit]:
    loads = _single(cores, hardware) | {
        "the primary's cores": (cores["primary"], hardware.database_cores * hardware.utilisation),
        "the caches' cores": (cores["cache"], hardware.cache_servers * hardware.utilisation),
        "the caches' memory": (memory, hardware.cache_servers * hardware.cache_gb * GB),
        "the primary's disk": (disk, hardware.disk_gb * GB),
    }
    return _sorted_limits(profile, loads)


def _single(cores: Mapping[str, float], hardware: Hardware) -> dict[str, tuple[float, float]]:
    """Return the load and the capacity of what only one process can do."""
    return {
        "the notifications' consumer": (cores["notifications"], hardware.utilisation),
        "the replay on a replica": (cores["replay"], hardware.utilisation),
        "the broker's core": (cores["broker"], hardware.utilisation),
    }


def _sorted_limits(profile: Profile, loads: Mapping[str, tuple[float, float]]) -> list[Limit]:
    """Return at how many users each load reaches its capacity. All loads are proportional to the users."""
    limits = [Limit(part, profile.users * capacity / load) for part, (load, capacity) in loads.items() if load > 0]
    return sorted(limits, key=lambda limit: limit.at)


def _daily(profile: Profile, each: float) -> float:
    """Return what all active users do in a day if each does it `each` times."""
    return profile.users * profile.daily_active * each


def _cores(costs: Figures, per_second: Mapping[str, float], part: str, operations: Iterable[str]) -> float:
    return sum(per_second[each] * costs.get(f"{each}_cpu_{part}_ms", 0.0) for each in operations) / 1000


def _weighted(costs: Figures, per_second: Mapping[str, float], name: str) -> float:
    return sum(rate * costs.get(name.format(operation), 0.0) for operation, rate in per_second.items())


def _replicas(cores: Mapping[str, float], hardware: Hardware) -> int:
    """Return how many replicas the reads need beside the replay. If that is too much for one, more do not help."""
    free = hardware.database_cores * hardware.utilisation - cores["replay"]
    return _servers(cores["replica"], free) if free > 0 else 1


def _servers(load: float, capacity: float) -> int:
    return max(1, math.ceil(load / capacity))
