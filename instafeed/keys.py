"""The one registry of Redis keys: every key that instafeed writes is made here.

`PREFIX` carries a version: a deployment that changes the form of a value raises it, and the old keys
expire unread. TTLs are in seconds. Everything is a cache of PostgreSQL and may vanish at any moment.

| key | holds | owner |
| --- | --- | --- |
| feed:{user}      | list: the viewer's timeline of pushed posts, a marker at its tail | feeds.store |
| author:{user}    | list: an author's newest posts, sorted, a marker at its tail | feeds.store |
| sources:{user}   | set: authors whose posts the viewer sees, with 0 as "complete" | feeds.sources |
| celebrities      | set: authors that are pulled, with 0 as "complete" | feeds.sources |
| lease:{key}      | token of whoever may fill that key | feeds.sources, instafeed.leases |
| card:{post}      | a post's JSON without any viewer's state | posts.cards |
| count:{subject}  | the likes and comments of a post or comment | posts.counters |
| marks:{user}     | the newest posts that a viewer liked and saved, packed | posts.marks |
| explore          | the newest ranking's id | posts.explore |
| ranking:{id}     | the posts of a ranking, as JSON; never changes | posts.explore |
| person:{user}    | a user's JSON as author | accounts.cards |
| access:{user}    | what authentication needs to know of a user | accounts.access |
| wal:{user}       | the primary's WAL position after the user's last write | instafeed.replicas.sticking |
| wal-floor        | a WAL position not before any write that a flush forgot | instafeed.replicas.sticking |
| worker:{queue}   | there while a Celery worker that consumes the queue is alive | instafeed.heartbeat |
| swept            | there since one of beat's tasks last ran | instafeed.heartbeat |
| probe            | whether writes are taken; also in the broker | instafeed.health |
| notifications-due | there while a task that drains the outbox of notifications is under way | social.notifications |
| budget           | token bucket of deliveries | feeds.budget |
| limit:…          | a client's requests in the current window, made by `limits` | instafeed.api.throttling |
"""

from __future__ import annotations

PREFIX = "if1:"

CARD_TTL = 86_400
COUNT_TTL = 86_400
MARKS_TTL = 86_400
EXPLORE_TTL = 5
RANKING_TTL = 3_600
PERSON_TTL = 86_400
ACCESS_TTL = 3_600
SOURCES_TTL = 86_400
CELEBRITIES_TTL = 3_600
WAL_TTL = 30  # at least; longer where replicas may lag longer, see replicas.sticking
WAL_FLOOR_TTL = 3_600
WORKER_TTL = 8  # several heartbeats
SWEPT_TTL = 3_600
PROBE_TTL = 10
NOTIFICATIONS_DUE_TTL_MS = 3_000  # a nudge that got lost is missed for no longer than this
LEASE_TTL_MS = 5_000  # longer than any fill; a filler that died blocks nobody for longer than this
BUILD_TTL_MS = 10_000  # a rebuild that died is forgotten after this

CELEBRITIES = f"{PREFIX}celebrities"
BUDGET = f"{PREFIX}budget"
EXPLORE = f"{PREFIX}explore"
NOTIFICATIONS_DUE = f"{PREFIX}notifications-due"
PROBE = f"{PREFIX}probe"
SWEPT = f"{PREFIX}swept"
WAL_FLOOR = f"{PREFIX}wal-floor"
FEED_PREFIX = f"{PREFIX}feed:"
AUTHOR_PREFIX = f"{PREFIX}author:"
LIMIT_PREFIX = f"{PREFIX}limit"


def kind(key: str) -> str:
    """What a key holds, as in the table: a label for metrics."""
    return key.removeprefix(PREFIX).partition(":")[0]


def feed(user_id: int) -> str:
    return f"{FEED_PREFIX}{user_id}"


def author(user_id: int) -> str:
    return f"{AUTHOR_PREFIX}{user_id}"


def sources(user_id: int) -> str:
    return f"{PREFIX}sources:{user_id}"


def lease(key: str) -> str:
    return f"{PREFIX}lease:{key}"


def card(post_id: int) -> str:
    return f"{PREFIX}card:{post_id}"


def count(subject_id: int) -> str:
    return f"{PREFIX}count:{subject_id}"


def marks(user_id: int) -> str:
    return f"{PREFIX}marks:{user_id}"


def ranking(ranking_id: int) -> str:
    return f"{PREFIX}ranking:{ranking_id}"


def person(user_id: int) -> str:
    return f"{PREFIX}person:{user_id}"


def access(user_id: int) -> str:
    return f"{PREFIX}access:{user_id}"


def wal(user_id: int) -> str:
    return f"{PREFIX}wal:{user_id}"


def worker(queue: str) -> str:
    return f"{PREFIX}worker:{queue}"
