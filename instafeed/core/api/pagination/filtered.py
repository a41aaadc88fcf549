"""Full pages from candidates that are filtered after they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

MAX_SCAN_BATCH_SIZE = 500  # candidates read in one round
MAX_ROUNDS = 8  # of a page, the budget of its work: about 2,000 candidates, or 8,000 rows of a bounded scan

Key = TypeVar("Key", bound=int | tuple[Any, ...])  # a candidate's position in its list


class Candidates(NamedTuple, Generic[Key]):
    """The next keys of a list. `scanned_to`: the last key that was examined; None: the last of `keys`."""

    keys: list[Key]
    is_last: bool
    scanned_to: Key | None = None


FetchKeys = Callable[[Key | None, int], Candidates[Key] | tuple[list[Key], bool]]
RenderVisible = Callable[[Sequence[Key]], list[tuple[Key, bytes]]]


def fetch_filtered_page(
    fetch_keys: FetchKeys[Key], render_visible: RenderVisible[Key], before: Key | None, limit: int
) -> tuple[list[bytes], Key | None]:
    """Return up to `limit` rows as JSON and the key that the next page begins after; None on the last page.

    `fetch_keys(before, count)` returns the next keys after `before` in the list's order, and whether they are the
    last. `render_visible(keys)` returns the key and JSON of those that the viewer may see. The loop reads on until it
    has one row more than `limit`, which shows that there is a next page.

    A page is shorter than `limit` only at the end of the list, or where so many candidates in a row are hidden that
    MAX_ROUNDS do not fill it. Then the next page begins after the last candidate.
    """
    rows: list[tuple[Key, bytes]] = []
    exhausted, batch_size = False, limit + 1
    for _ in range(MAX_ROUNDS):
        found = Candidates(*fetch_keys(before, batch_size))
        exhausted = found.is_last
        if found.keys:
            before = found.keys[-1]
            rows += render_visible(found.keys)
        before = found.scanned_to or before
        if len(rows) > limit or exhausted:
            break
        # Batches double, so a long run of hidden candidates (of a suspended author, say) costs few rounds.
        batch_size = min(max(limit + 1 - len(rows), 2 * batch_size), MAX_SCAN_BATCH_SIZE)
    json = [json for _, json in rows[:limit]]
    if len(rows) > limit:
        return json, rows[limit - 1][0]
    return json, None if exhausted else before
