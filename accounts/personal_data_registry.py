"""The register of what the system holds about a user: each app declares its own part, export and erasure read it.

An app registers in its `AppConfig.ready`, so the parts stand in the order of INSTALLED_APPS: from accounts upwards.
Export goes through them in that order, erasure backwards: what hangs on something goes before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Model, QuerySet

CHUNK_SIZE = 500  # rows read, or erased, at once

ModelT = TypeVar("ModelT", bound=Model)
Row = dict[str, Any]  # as JSON knows it, and datetimes; ids are texts
ExportRows = Callable[[int], Iterator[Row]]
EraseChunk = Callable[[int], bool]


@dataclass(frozen=True)
class PersonalDataCategory:
    """One kind of thing that is held about a user, by its section in the export.

    * `columns`: where a user's id stands in the database, as "app.Model.field"; a test finds the undeclared.
    * `export(user_id)`: what the user may have of it, row by row; never all rows in memory. None for what is
      derived from other sections, or is the private affair of somebody else.
    * `erase(user_id)`: one slice of the work, bounded to about `CHUNK_SIZE` rows or a second, in transactions of its
      own; True when nothing was left. May run twice, at the same time as others', and after a crash in the middle.
    """

    name: str
    columns: Sequence[str] = ()
    export: ExportRows | None = None
    erase: EraseChunk | None = None


GetRedisKeys = Callable[[int], Iterable[str]]

_categories: list[PersonalDataCategory] = []
_redis_key_functions: list[GetRedisKeys] = []


def register(*holdings: PersonalDataCategory, redis_keys: GetRedisKeys | None = None) -> None:
    """Declare an app's part, and the Redis keys that are made of a user's id."""
    _categories.extend(holdings)
    if redis_keys is not None:
        _redis_key_functions.append(redis_keys)


def get_categories() -> Sequence[PersonalDataCategory]:
    """All of them, those of the lowest app first."""
    return tuple(_categories)


def get_redis_keys(user_id: int) -> list[str]:
    """Every Redis key that is made of the user's id and outlives a minute or two."""
    return [key for keys_of in _redis_key_functions for key in keys_of(user_id)]


def iterate_chunks(rows: QuerySet[Any, Any], by: str) -> Iterator[list[Row]]:
    """All of `rows`, a `.values(…)` that holds the unique column `by`, from the primary, in chunks by that column.

    Nothing is held open between two chunks, however slowly whoever reads takes them.
    """
    rows, after = rows.using(DEFAULT_DB_ALIAS).order_by(by), None
    while True:
        chunk = list(rows[:CHUNK_SIZE] if after is None else rows.filter(**{f"{by}__gt": after})[:CHUNK_SIZE])
        yield chunk
        if len(chunk) < CHUNK_SIZE:
            return
        after = chunk[-1][by]


def erase_rows(rows: QuerySet[Any]) -> bool:
    """Delete a slice of `rows`, on which nothing hangs and which nobody counts; True when nothing is left."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        found, is_last = lock_chunk(rows)
        delete_locked_rows(found)
    return is_last


def lock_chunk(rows: QuerySet[ModelT]) -> tuple[list[ModelT], bool]:
    """A slice of `rows` and whether it is the last, locked until the commit: nobody else erases or counts them.

    In the order of their keys, so that two of these do not wait for each other.
    """
    found = list(rows.using(DEFAULT_DB_ALIAS).order_by("pk").select_for_update(of=("self",))[:CHUNK_SIZE])
    return found, len(found) < CHUNK_SIZE


def delete_locked_rows(rows: Sequence[Model]) -> None:
    """Delete rows of one model that the transaction has locked."""
    if rows:
        same = type(rows[0])._default_manager.using(DEFAULT_DB_ALIAS)
        same.filter(pk__in=[row.pk for row in rows]).delete()
