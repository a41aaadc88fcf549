"""The registry of personal data: each app registers its categories, and export and erasure iterate over them.

Apps register in `AppConfig.ready`, so the categories are in the order of INSTALLED_APPS, from accounts upwards. The
export follows that order. The erasure goes backwards, so that rows are deleted before the rows that they refer to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Model, QuerySet
from rest_framework.serializers import Serializer

CHUNK_SIZE = 500  # rows read or erased at once

ModelT = TypeVar("ModelT", bound=Model)
Row = dict[str, Any]  # JSON values and datetimes; ids are strings
ExportRows = Callable[[int], Iterator[Row]]
EraseChunk = Callable[[int], bool]


@dataclass(frozen=True)
class PersonalDataCategory:
    """A category of data about a user, with its section name in the export.

    * `columns`: the database columns that hold a user's id, as "app.Model.field". A test finds missing ones.
    * `export(user_id)`: yields the rows that the user may have, never all of them in memory. None if the data is
      derived from other sections, or is another user's private data.
    * `erase(user_id)`: erases one chunk, of about `CHUNK_SIZE` rows or a second of work, in its own transactions.
      Returns True when nothing was left. May run twice, concurrently for other users, and after a crash half-way.
    * `row`: describes the exported rows in the OpenAPI document.
    """

    name: str
    columns: Sequence[str] = ()
    export: ExportRows | None = None
    erase: EraseChunk | None = None
    row: type[Serializer[Any]] | None = None


GetRedisKeys = Callable[[int], Iterable[str]]

_categories: list[PersonalDataCategory] = []
_redis_key_functions: list[GetRedisKeys] = []


def register(*categories: PersonalDataCategory, redis_keys: GetRedisKeys | None = None) -> None:
    """Register an app's categories, and the Redis keys that contain a user's id."""
    _categories.extend(categories)
    if redis_keys is not None:
        _redis_key_functions.append(redis_keys)


def get_categories() -> Sequence[PersonalDataCategory]:
    """Return all categories, those of the lowest app first."""
    return tuple(_categories)


def get_redis_keys(user_id: int) -> list[str]:
    """Return every Redis key that contains the user's id and lives longer than a minute or two."""
    return [key for get_keys in _redis_key_functions for key in get_keys(user_id)]


def iterate_chunks(rows: QuerySet[Any, Any], by: str) -> Iterator[list[Row]]:
    """Yield all of `rows` in chunks, from the primary, ordered by the unique column `by`.

    `rows` is a `.values(…)` that includes `by`. No cursor or transaction stays open between chunks, so a slow reader
    holds no database resources.
    """
    rows, after = rows.using(DEFAULT_DB_ALIAS).order_by(by), None
    while True:
        chunk = list(rows[:CHUNK_SIZE] if after is None else rows.filter(**{f"{by}__gt": after})[:CHUNK_SIZE])
        yield chunk
        if len(chunk) < CHUNK_SIZE:
            return
        after = chunk[-1][by]


def erase_rows(rows: QuerySet[Any]) -> bool:
    """Delete a chunk of `rows` that have no dependent rows and no counters. Return True when nothing is left."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        chunk, is_last = lock_chunk(rows)
        delete_locked_rows(chunk)
    return is_last


def lock_chunk(rows: QuerySet[ModelT]) -> tuple[list[ModelT], bool]:
    """Lock a chunk of `rows` until the commit and return it, with whether it is the last.

    The lock keeps other transactions from erasing or counting the same rows. Rows are locked in the order of their
    keys, so that two concurrent calls cannot deadlock.
    """
    chunk = list(rows.using(DEFAULT_DB_ALIAS).order_by("pk").select_for_update(of=("self",))[:CHUNK_SIZE])
    return chunk, len(chunk) < CHUNK_SIZE


def delete_locked_rows(rows: Sequence[Model]) -> None:
    """Delete rows of one model that the current transaction has locked."""
    if rows:
        manager = type(rows[0])._default_manager.using(DEFAULT_DB_ALIAS)
        manager.filter(pk__in=[row.pk for row in rows]).delete()
