"""Pages of candidates that are filtered after they were read, and yet are never short."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Fetch = Callable[[int | None, int], tuple[list[int], bool]]
Show = Callable[[Sequence[int]], list[tuple[int, bytes]]]


def filled_page(fetch: Fetch, show: Show, before: int | None, limit: int) -> tuple[list[bytes], int | None]:
    """`limit` rows as JSON, fewer only at the end of the list, and the cursor of the next page or None.

    `fetch(before, wanted)` gives the next ids below the cursor, descending, and whether these are the last;
    `show(ids)` gives id and JSON of those among them that may be shown. One row more than asked is looked
    for: it alone tells whether there is a next page.
    """
    shown: list[tuple[int, bytes]] = []
    exhausted = False
    while len(shown) <= limit and not exhausted:
        ids, exhausted = fetch(before, limit + 1 - len(shown))
        if ids:
            before = ids[-1]
            shown += show(ids)
    has_more = len(shown) > limit
    return [json for _, json in shown[:limit]], shown[limit - 1][0] if has_more else None
