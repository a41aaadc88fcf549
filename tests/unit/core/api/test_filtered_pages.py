"""Pages that are filtered after reading: full where they can be, and never an endless scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from instafeed.core.api.pagination import filtered
from instafeed.core.api.pagination.filtered import Candidates, fetch_filtered_page


def read_page(is_visible: Callable[[int], bool], before: int | None, limit: int) -> tuple[list[int], int | None, int]:
    """Read a page of the list 1000, 999, …, 1. Return its keys, the cursor, and how many candidates it examined."""
    examined = 0

    def fetch_keys(before: int | None, count: int) -> tuple[list[int], bool]:
        start = 1_000 if before is None else before - 1
        keys = list(range(start, max(0, start - count), -1))
        return keys, len(keys) < count

    def render(keys: Sequence[int]) -> list[tuple[int, bytes]]:
        nonlocal examined
        examined += len(keys)
        return [(key, b"%d" % key) for key in keys if is_visible(key)]

    rows, after = fetch_filtered_page(fetch_keys, render, before, limit)
    return [int(row) for row in rows], after, examined


def test_page_is_full_although_candidates_are_hidden() -> None:
    assert read_page(lambda key: key % 3 == 0, None, 3)[:2] == ([999, 996, 993], 993)


def test_last_page_has_no_cursor() -> None:
    assert read_page(lambda key: True, 3, 5)[:2] == ([2, 1], None)


def test_page_is_short_where_the_budget_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filtered, "MAX_ROUNDS", 3)
    rows, after, examined = read_page(lambda key: key > 995, None, 10)
    assert rows == [1_000, 999, 998, 997, 996]
    assert examined == 11 + 22 + 44
    assert after == 1_001 - examined


def test_short_pages_are_the_whole_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filtered, "MAX_ROUNDS", 2)
    visible = [1_000, 990, 900, 500, 499, 2]
    seen, before, sizes = list[int](), None, list[int]()
    while not sizes or before is not None:
        rows, before, examined = read_page(visible.__contains__, before, 2)
        assert examined <= 3 + 6
        seen += rows
        sizes.append(len(rows))
    assert seen == visible
    assert 0 in sizes


def test_cursor_follows_a_scan_that_found_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that is filtered in SQL examines more rows than it returns."""
    monkeypatch.setattr(filtered, "MAX_ROUNDS", 3)
    scans = [Candidates([], is_last=False, scanned_to=to) for to in (700, 400, 300)]
    scans[1] = Candidates([600], is_last=False, scanned_to=400)
    found = iter(scans)
    page = fetch_filtered_page(lambda *_: next(found), lambda keys: [(key, b"%d" % key) for key in keys], None, 5)
    assert page == ([b"600"], 300)
