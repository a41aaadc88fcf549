"""The registry of Redis keys: every key that instafeed writes is made here.

`PREFIX` carries a version. A deployment that changes the format of a value increments it, and the old keys expire
unread. TTLs are in seconds. Redis is a cache of PostgreSQL: any key may vanish at any moment. Below, `core` is
`instafeed.core`.

| key | holds | owner |
| --- | --- | --- |
| feed:{user}      | list: the viewer's home timeline, a marker at its tail | feeds.timeline_store |
| author:{user}    | list: the author timeline, sorted, a marker at its tail | feeds.timeline_store |
| sources:{user}   | set: authors whose posts the viewer sees; 0 marks it as complete | feeds.visible_authors |
| celebrities      | set: authors that are delivered by pull; 0 marks it as complete | feeds.visible_authors |
| lease:{key}      | token of the reader that may fill that set of ids | instafeed.core.cache.read_through |
| card:{post}      | the post card: JSON without viewer state | posts.post_cache |
| count:{subject}  | the likes and comments of a post or comment | posts.counters |
| marks:{user}     | the newest posts that a viewer liked and saved, packed | posts.viewer_flags |
| explore          | the newest ranking's id | posts.explore |
| ranking:{id}     | the posts of a ranking, as JSON; never changes | posts.explore |
| person:{user}    | the user summary: JSON, as posts and lists show a user | accounts.user_cache |
| access:{user}    | what authentication needs to know of a user | accounts.auth_cache |
| wal:{user}       | the primary's WAL position after the user's last write | core.db.replicas.read_your_writes |
| wal-floor        | a WAL position after every write whose position Redis lost | core.db.replicas.read_your_writes |
| worker:{queue}   | exists while a Celery worker consumes the queue | core.jobs.heartbeat |
| beat             | token of the beat that sends the periodic tasks, if several run | core.jobs.beat_scheduler |
| swept            | exists since the last sweep; its TTL gives the sweep's age | core.jobs.heartbeat |
| probe            | written to see whether Redis accepts writes; also in the broker | core.monitoring.health |
| due:{task}       | exists while the task is enqueued, or about to look for work again | core.jobs.coalesced |
| budget           | token bucket of deliveries | feeds.rate_limiter |
| limit:{scope}:…  | how often a client did something in its current window | core.api.rate_limits |
| signed-in:{hash} | exists if an address signed in to an account in the last 30 days | accounts.throttles |

Messages are published on the channel `hints` (core.cache.hints).

The first part of a key is also the `kind` label of the cache metrics, so it stays as it is.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence

from django.conf import settings

from instafeed.core.cache import buckets

PREFIX = "if1:"

POST_CARD_TTL = 86_400
COUNT_TTL = 86_400
VIEWER_FLAGS_TTL = 86_400
CURRENT_RANKING_TTL = 5
RANKING_TTL = 3_600
USER_SUMMARY_TTL = 86_400
AUTH_STATE_TTL = 3_600
VISIBLE_AUTHORS_TTL = 86_400
CELEBRITIES_TTL = 3_600
WAL_POSITION_TTL = 30  # at least; longer if replicas may lag longer, see db.replicas.read_your_writes
WAL_FLOOR_TTL = 3_600
KNOWN_ADDRESS_TTL = 30 * 86_400
WORKER_TTL = 8  # several heartbeats
LAST_SWEEP_TTL = 3_600
PROBE_TTL = 10
LEASE_TTL_MS = 5_000  # longer than any fill; bounds how long a dead filler blocks others
REBUILD_TTL_MS = 10_000  # a rebuild that died is forgotten after this

FANOUT_RATE = f"{PREFIX}budget"
CURRENT_RANKING = f"{PREFIX}explore"
LAST_SWEEP = f"{PREFIX}swept"
BEAT = f"{PREFIX}beat"
AUTHOR_TIMELINE_KIND = "author:"  # a script names such keys itself
HINTS_CHANNEL = f"{PREFIX}hints"
# In a cluster a server's generation stands before it, and braces around it.
HINTS_PATTERN = f"*{PREFIX}hints*"

# Of each bucket (see `instafeed.core.cache.buckets`). The default is for programs with Django's own settings.
bucket_prefixes: Sequence[str] = [f"{PREFIX}{tag}" for tag in buckets.hash_tags(getattr(settings, "FEED_BUCKETS", 1))]
# A server of a cluster puts its generation before a key (`instafeed.core.cache.cluster_client`).
_PATTERN = re.compile(rf"(?:[0-9a-f]+-)?{PREFIX}(?:{{\w+}}:)?([^:]+)")


def kind(key: str) -> str:
    """Return the first part of a key, as in the table: a metric label. A foreign key has none: ""."""
    match = _PATTERN.match(key)
    return match[1] if match else ""


def pattern(kind: str, bucket: int | None = None) -> str:
    """Return the glob pattern of the keys of a kind that have an id: in one bucket, or in all."""
    if bucket is not None:
        return f"{bucket_prefixes[bucket]}{kind}:*"
    tag = "{*}:" if len(bucket_prefixes) > 1 else ""
    return f"{PREFIX}{tag}{kind}:*"


def id_of(key: str) -> int:
    """Return the id at the end of a key."""
    return int(key.rpartition(":")[2])


def bucket_of(id_: int) -> int:
    return id_ % len(bucket_prefixes)


def group_by_bucket(ids: Iterable[int]) -> list[list[int]]:
    """Return the ids of each bucket that has some."""
    count = len(bucket_prefixes)
    if count == 1:
        return [group] if (group := list(ids)) else []
    groups: list[list[int]] = [[] for _ in range(count)]
    for id_ in ids:
        groups[id_ % count].append(id_)
    return [group for group in groups if group]


def all_buckets() -> range:
    return range(len(bucket_prefixes))


def _key(kind: str, id_: int) -> str:
    return f"{bucket_prefixes[id_ % len(bucket_prefixes)]}{kind}:{id_}"


def home_timeline(user_id: int) -> str:
    return _key("feed", user_id)


def home_timelines(user_ids: Sequence[int]) -> list[str]:
    """Return the home timelines of users of the same bucket, at least one."""
    prefix = f"{bucket_prefixes[bucket_of(user_ids[0])]}feed:"
    return [f"{prefix}{user_id}" for user_id in user_ids]


def author_timeline(user_id: int, bucket: int) -> str:
    """Name the copy of an author timeline for the viewers of a bucket."""
    return f"{bucket_prefixes[bucket]}{AUTHOR_TIMELINE_KIND}{user_id}"


def author_timelines(user_id: int) -> list[str]:
    """Return all copies."""
    return [author_timeline(user_id, bucket) for bucket in all_buckets()]


def celebrities(bucket: int) -> str:
    """Name the copy of the celebrity set for the viewers of a bucket."""
    return f"{bucket_prefixes[bucket]}celebrities"


def visible_authors(user_id: int) -> str:
    return _key("sources", user_id)


def lease(key: str) -> str:
    """Name the lease of a set of ids, which lies in the same bucket."""
    tagged = key.find("}:")
    start = len(PREFIX) if tagged < 0 else tagged + 2
    return f"{key[:start]}lease:{key[start:]}"


def post_card(post_id: int) -> str:
    return _key("card", post_id)


def count(subject_id: int) -> str:
    return _key("count", subject_id)


def viewer_flags(user_id: int) -> str:
    return _key("marks", user_id)


def ranking(ranking_id: int) -> str:
    return f"{PREFIX}ranking:{ranking_id}"


def user_summary(user_id: int) -> str:
    return _key("person", user_id)


def auth_state(user_id: int) -> str:
    return _key("access", user_id)


def wal_position(user_id: int) -> str:
    return _key("wal", user_id)


def wal_floor(bucket: int) -> str:
    """Name the floor of the users of a bucket, whose positions a server loses together."""
    return f"{bucket_prefixes[bucket]}wal-floor"


def probe(bucket: int = 0) -> str:
    return f"{bucket_prefixes[bucket]}probe"


def worker(queue: str) -> str:
    return f"{PREFIX}worker:{queue}"


def rate_limit(scope: str, client: str, seconds: int) -> str:
    """Name a window. `client` is a user id, so that a page reads one bucket, or any other text.

    `seconds` is the length of the window: a change of it begins new windows.
    """
    number = int(client) if client.isdecimal() else zlib.crc32(client.encode())
    return f"{bucket_prefixes[bucket_of(number)]}limit:{scope}:{client}:{seconds}"


def known_address(digest: str) -> str:
    return f"{PREFIX}signed-in:{digest}"


def look_coming(task: str) -> str:
    return f"{PREFIX}due:{task}"
