"""The one registry of Redis keys: every key that instafeed writes is made here.

`PREFIX` carries a version: a deployment that changes the form of a value raises it, and the old keys
expire unread. TTLs are in seconds. Everything is a cache of PostgreSQL and may vanish at any moment.

| key | holds | owner |
| --- | --- | --- |
| feed:{user}      | list: the viewer's timeline of pushed posts, a marker at its tail | feeds.timeline_store |
| author:{user}    | list: an author's newest posts, sorted, a marker at its tail | feeds.timeline_store |
| sources:{user}   | set: authors whose posts the viewer sees, with 0 as "complete" | feeds.visible_authors |
| celebrities      | set: authors that are pulled, with 0 as "complete" | feeds.visible_authors |
| lease:{key}      | token of whoever may fill that key | feeds.visible_authors, instafeed.core.cache.read_through |
| card:{post}      | a post's JSON without any viewer's state | posts.post_cache |
| count:{subject}  | the likes and comments of a post or comment | posts.counters |
| marks:{user}     | the newest posts that a viewer liked and saved, packed | posts.viewer_flags |
| explore          | the newest ranking's id | posts.explore |
| ranking:{id}     | the posts of a ranking, as JSON; never changes | posts.explore |
| person:{user}    | a user's JSON as author | accounts.user_cache |
| access:{user}    | what authentication needs to know of a user | accounts.auth_cache |
| wal:{user}       | the primary's WAL position after the user's last write | instafeed.core.db.replicas.read_your_writes |
| wal-floor        | a WAL position not before any write that a flush forgot | instafeed.core.db.replicas.read_your_writes |
| worker:{queue}   | there while a Celery worker that consumes the queue is alive | instafeed.core.jobs.heartbeat |
| swept            | there since one of beat's tasks last ran | instafeed.core.jobs.heartbeat |
| probe            | whether writes are taken; also in the broker | instafeed.core.observability.health |
| notifications-due | there while a task that drains the outbox of notifications is under way | social.notifications |
| budget           | token bucket of deliveries | feeds.rate_limiter |
| limit:…          | a client's requests in the current window, made by `limits` | instafeed.core.api.throttling |
"""

from __future__ import annotations

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
WAL_POSITION_TTL = 30  # at least; longer where replicas may lag longer, see replicas.sticking
WAL_FLOOR_TTL = 3_600
WORKER_TTL = 8  # several heartbeats
LAST_SWEEP_TTL = 3_600
PROBE_TTL = 10
NOTIFICATIONS_DUE_TTL_MS = 3_000  # a nudge that got lost is missed for no longer than this
LEASE_TTL_MS = 5_000  # longer than any fill; a filler that died blocks nobody for longer than this
REBUILD_TTL_MS = 10_000  # a rebuild that died is forgotten after this

CELEBRITIES = f"{PREFIX}celebrities"
FANOUT_RATE = f"{PREFIX}budget"
CURRENT_RANKING = f"{PREFIX}explore"
NOTIFICATIONS_DUE = f"{PREFIX}notifications-due"
PROBE = f"{PREFIX}probe"
LAST_SWEEP = f"{PREFIX}swept"
WAL_FLOOR = f"{PREFIX}wal-floor"
HOME_TIMELINE_PREFIX = f"{PREFIX}feed:"
AUTHOR_TIMELINE_PREFIX = f"{PREFIX}author:"
THROTTLE_PREFIX = f"{PREFIX}limit"


def kind(key: str) -> str:
    """What a key holds, as in the table: a label for metrics."""
    return key.removeprefix(PREFIX).partition(":")[0]


def home_timeline(user_id: int) -> str:
    return f"{HOME_TIMELINE_PREFIX}{user_id}"


def author_timeline(user_id: int) -> str:
    return f"{AUTHOR_TIMELINE_PREFIX}{user_id}"


def visible_authors(user_id: int) -> str:
    return f"{PREFIX}sources:{user_id}"


def lease(key: str) -> str:
    return f"{PREFIX}lease:{key}"


def post_card(post_id: int) -> str:
    return f"{PREFIX}card:{post_id}"


def count(subject_id: int) -> str:
    return f"{PREFIX}count:{subject_id}"


def viewer_flags(user_id: int) -> str:
    return f"{PREFIX}marks:{user_id}"


def ranking(ranking_id: int) -> str:
    return f"{PREFIX}ranking:{ranking_id}"


def user_summary(user_id: int) -> str:
    return f"{PREFIX}person:{user_id}"


def auth_state(user_id: int) -> str:
    return f"{PREFIX}access:{user_id}"


def wal_position(user_id: int) -> str:
    return f"{PREFIX}wal:{user_id}"


def worker(queue: str) -> str:
    return f"{PREFIX}worker:{queue}"
