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
| swept            | exists since the last sweep; its TTL gives the sweep's age | core.jobs.heartbeat |
| probe            | written to see whether Redis accepts writes; also in the broker | core.monitoring.health |
| due:{task}       | exists while the task is enqueued, or about to look for work again | core.jobs.coalesced |
| budget           | token bucket of deliveries | feeds.rate_limiter |
| limit:{scope}:…  | how often a client did something in its current window | core.api.rate_limits |
| signed-in:{hash} | exists if an address signed in to an account in the last 30 days | accounts.throttles |

The first part of a key is also the `kind` label of the cache metrics, so it stays as it is.
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
WAL_POSITION_TTL = 30  # at least; longer if replicas may lag longer, see db.replicas.read_your_writes
WAL_FLOOR_TTL = 3_600
KNOWN_ADDRESS_TTL = 30 * 86_400
WORKER_TTL = 8  # several heartbeats
LAST_SWEEP_TTL = 3_600
PROBE_TTL = 10
LEASE_TTL_MS = 5_000  # longer than any fill; bounds how long a dead filler blocks others
REBUILD_TTL_MS = 10_000  # a rebuild that died is forgotten after this

CELEBRITIES = f"{PREFIX}celebrities"
FANOUT_RATE = f"{PREFIX}budget"
CURRENT_RANKING = f"{PREFIX}explore"
PROBE = f"{PREFIX}probe"
LAST_SWEEP = f"{PREFIX}swept"
WAL_FLOOR = f"{PREFIX}wal-floor"
HOME_TIMELINE_PREFIX = f"{PREFIX}feed:"
AUTHOR_TIMELINE_PREFIX = f"{PREFIX}author:"
RATE_LIMIT_PREFIX = f"{PREFIX}limit"


def kind(key: str) -> str:
    """Return the first part of a key, as in the table: a metric label."""
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


def rate_limit(scope: str, client: str, seconds: int) -> str:
    """`seconds` is the length of the window: a change of it begins new windows."""
    return f"{RATE_LIMIT_PREFIX}:{scope}:{client}:{seconds}"


def known_address(digest: str) -> str:
    return f"{PREFIX}signed-in:{digest}"


def look_coming(task: str) -> str:
    return f"{PREFIX}due:{task}"
