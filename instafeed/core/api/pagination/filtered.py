"""Pages of candidates that are filtered after they were read, and yet are never short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

MAX_SCAN_BATCH_SIZE = 500  # candidates looked at in one round

Key = TypeVar("Key", bound=int | tuple[Any, ...])  # where a candidate stands in its list
FetchKeys = Callable[[Key | None, int], tuple[list[Key], bool]]
RenderVisible = Callable[[Sequence[Key]], list[tuple[Key, bytes]]]


def fetch_filtered_page(
    fetch: FetchKeys[Key], show: RenderVisible[Key], before: Key | None, limit: int
) -> tuple[list[bytes], Key | None]:
    """`limit` rows as JSON, fewer only at the end of the list, and the cursor of the next page or None.

    `fetch(before, wanted)` gives the next keys past the cursor, in the list's order, and whether these are the
    last; `show(keys)` gives key and JSON of those among them that may be shown. One row more than asked is
    looked for: it alone tells whether there is a next page.
    """
    shown: list[tuple[Key, bytes]] = []
    exhausted, wanted = False, limit + 1
    while len(shown) <= limit and not exhausted:
        keys, exhausted = fetch(before, wanted)
        if keys:
            before = keys[-1]
            shown += show(keys)
        # Long runs of what may not be shown, a suspended author's say, are passed in growing strides.
        wanted = min(max(limit + 1 - len(shown), 2 * wanted), MAX_SCAN_BATCH_SIZE)
    has_more = len(shown) > limit
    return [json for _, json in shown[:limit]], shown[limit - 1][0] if has_more else None
