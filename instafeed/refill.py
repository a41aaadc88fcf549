"""Pages of candidates that are filtered after they were read, and yet are never short."""

from __future__ import annotations

from collections.abc import Callable, Sequence

LONGEST_STRIDE = 500  # candidates looked at in one round

Fetch = Callable[[int | None, int], tuple[list[int], bool]]
Show = Callable[[Sequence[int]], list[tuple[int, bytes]]]


def filled_page(fetch: Fetch, show: Show, before: int | None, limit: int) -> tuple[list[bytes], int | None]:
    """`limit` rows as JSON, fewer only at the end of the list, and the cursor of the next page or None.

    `fetch(before, wanted)` gives the next ids below the cursor, descending, and whether these are the last;
    `show(ids)` gives id and JSON of those among them that may be shown. One row more than asked is looked
    for: it alone tells whether there is a next page.
    """
    shown: list[tuple[int, bytes]] = []
    exhausted, wanted = False, limit + 1
    while len(shown) <= limit and not exhausted:
        ids, exhausted = fetch(before, wanted)
        if ids:
            before = ids[-1]
            shown += show(ids)
        # Long runs of what may not be shown, a suspended author's say, are passed in growing strides.
        wanted = min(max(limit + 1 - len(shown), 2 * wanted), LONGEST_STRIDE)
    has_more = len(shown) > limit
    return [json for _, json in shown[:limit]], shown[limit - 1][0] if has_more else None
