"""Which posts are new, by what was announced before."""

from __future__ import annotations

from instafeed.stream.seen_posts import WINDOW, SeenPosts


def test_a_post_with_an_older_id_is_remembered_too() -> None:
    seen = SeenPosts((30, 10), floor=5).with_new([20])
    assert (seen.ids, seen.floor, seen.newest) == ((30, 20, 10), 5, 30)


def test_ids_that_are_forgotten_are_not_new_again() -> None:
    seen = SeenPosts((), floor=0).with_new(list(range(1, WINDOW + 4)))
    assert len(seen.ids) == WINDOW
    assert seen.floor == 3
    assert min(seen.ids) == 4


def test_a_resumed_stream_counts_what_is_known_only_above_the_floor() -> None:
    seen = SeenPosts((30, 20, 10), floor=5)
    assert [seen.count_above(post_id) for post_id in (30, 29, 10, 5, 4)] == [0, 1, 2, 3, None]


def test_without_posts_the_floor_is_the_newest_known_id() -> None:
    assert SeenPosts((), floor=7).newest == 7
