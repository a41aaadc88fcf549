"""Full pages from candidates that are filtered after they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

MAX_SCAN_BATCH_SIZE = 500  # candidates read in one round

Key = TypeVar("Key", bound=int | tuple[Any, ...])  # a candidate's position in its list
FetchKeys = Callable[[Key | None, int], tuple[list[Key], bool]]
RenderVisible = Callable[[Sequence[Key]], list[tuple[Key, bytes]]]


def fetch_filtered_page(
    fetch_keys: FetchKeys[Key], render_visible: RenderVisible[Key], before: Key | None, limit: int
) -> tuple[list[bytes], Key | None]:
    """Return up to `limit` rows as JSON and the key that the next page begins after; None on the last page.

    `fetch_keys(before, count)` returns the next keys after `before` in the list's order, and whether they are the
    last. `render_visible(keys)` returns the key and JSON of those that the viewer may see. A page is shorter than
    `limit` only at the end of the list: the loop reads on until it has one row more, which shows that there is a
    next page.
    """
    rows: list[tuple[Key, bytes]] = []
    exhausted, batch_size = False, limit + 1
    while len(rows) <= limit and not exhausted:
        keys, exhausted = fetch_keys(before, batch_size)
        if keys:
            before = keys[-1]
            rows += render_visible(keys)
        # Batches double, so a long run of hidden candidates (of a suspended author, say) costs few rounds.
        batch_size = min(max(limit + 1 - len(rows), 2 * batch_size), MAX_SCAN_BATCH_SIZE)
    has_more = len(rows) > limit
    return [json for _, json in rows[:limit]], rows[limit - 1][0] if has_more else None
