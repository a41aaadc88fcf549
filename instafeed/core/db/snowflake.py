"""64-bit snowflake ids made by PostgreSQL: ordered by time, unique without node ids, the same for ORM and COPY.

Layout from the top: 1 sign bit (0), 41 bits of milliseconds since 2024-01-01 UTC (69 years), 8 bits of shard
(0 until there is a second primary), 14 bits of a sequence (16,384 ids a millisecond). The idea is Instagram's
("Sharding & IDs at Instagram", 2012). Ids exceed 2**53, so JSON carries them as strings.

An id is drawn inside a transaction and becomes visible at its commit: ids are in creation order, not in commit
order. A reader that needs "everything before t" must allow for the longest transaction.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connections, models
from django.db.models import Func

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
EPOCH_MS = int(EPOCH.timestamp() * 1000)
TIME_SHIFT = 22
MAX_ID = 2**63 - 1
MAX_CLOCK_DIFFERENCE = timedelta(days=7)  # below `partitions.AHEAD`

CREATE_FUNCTIONS = f"""
CREATE SEQUENCE instafeed_id_seq AS bigint CACHE 1;
CREATE FUNCTION instafeed_id_at(moment timestamptz) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT (floor(extract(epoch FROM moment) * 1000)::bigint - {EPOCH_MS}) << {TIME_SHIFT}
           | (nextval('instafeed_id_seq') & 16383)
$$;
CREATE FUNCTION instafeed_next_id() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT instafeed_id_at(clock_timestamp())
$$;
"""  # noqa: S608
DROP_FUNCTIONS = """
DROP FUNCTION instafeed_next_id();
DROP FUNCTION instafeed_id_at(timestamptz);
DROP SEQUENCE instafeed_id_seq;
"""


class NextId(Func):
    """The database's next id, for `db_default`."""

    function = "instafeed_next_id"
    template = "%(function)s()"
    output_field = models.BigIntegerField()


def next_ids(count: int) -> list[int]:
    """Return `count` new ids in ascending order, for `bulk_create`, which cannot read a `db_default` back."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT instafeed_next_id() FROM generate_series(1, %s)", [count])
        return [row[0] for row in cursor.fetchall()]


def timestamp_of_id(id_: int) -> datetime:
    """Return the time an id was drawn, to the millisecond."""
    return EPOCH + timedelta(milliseconds=id_ >> TIME_SHIFT)


def first_id_at(moment: datetime) -> int:
    """Return the smallest id that can be drawn at `moment`."""
    return max(0, int((moment - EPOCH).total_seconds() * 1000)) << TIME_SHIFT


def upper_bound() -> int:
    """Return an id above all that were drawn, if no server's clock is wrong by a week.

    Below it PostgreSQL leaves out partitions that begin later, which it cannot below MAX_ID.
    """
    return first_id_at(datetime.now(UTC) + MAX_CLOCK_DIFFERENCE)


def parse_id(raw: str) -> int | None:
    """Parse a decimal id as clients send it; return None for any other text."""
    if not raw.isascii() or not raw.isdecimal() or len(raw) > 19:
        return None
    value = int(raw)
    return value if 0 < value <= MAX_ID else None
