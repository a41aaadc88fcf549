"""Hashtags: the posts of a hashtag, search by prefix, visibility, and the index."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts import services as accounts
from instafeed.core.api.pagination import filtered
from posts import entities, hashtag_index, services
from posts.models import Hashtag, Post, PostHashtag
from social import services as social
from tests.db.media.lifecycle import purge_deleted_posts
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.pages import EMPTY_PAGE

pytestmark = pytest.mark.django_db


def list_hashtag_posts(caller: ApiUser, tag: str, limit: int = 2) -> list[str]:
    return [post["id"] for post in caller.list_all(f"/hashtags/{quote(tag)}/posts", limit)]


def search_hashtags(caller: ApiUser, search: str, limit: int = 2) -> dict[str, int]:
    rows = caller.list_all(f"/hashtags?search={quote(search)}", limit)
    counts = {row["name"]: row["post_count"] for row in rows}
    assert list(counts) == sorted(counts)
    assert len(counts) == len(rows)
    return counts


# --- The posts of a hashtag --------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_lists_posts_of_a_hashtag_newest_first(author: ApiUser, reader: ApiUser, limit: int) -> None:
    posts = [author.create_post(f"#sea number {number} #sun") for number in range(5)]
    author.create_post("the sea, without a mark")
    author.create_post("#seaside")
    assert list_hashtag_posts(reader, "sea", limit) == posts[::-1]


@pytest.mark.parametrize("path", ["Ünïcode", "ÜNÏCODE", "#ünïcode", "U\u0308ni\u0308code"])
def test_hashtag_is_found_in_any_case_and_composition(author: ApiUser, path: str) -> None:
    posts = [author.create_post("#Ünïcode"), author.create_post("#ünïCODE"), author.create_post("#U\u0308ni\u0308code")]
    assert author.get(f"/posts/{posts[0]}")["hashtags"] == ["ünïcode"]
    assert list_hashtag_posts(author, path) == posts[::-1]


def test_unknown_hashtag_has_no_posts(reader: ApiUser) -> None:
    assert reader.get("/hashtags/unused/posts") == EMPTY_PAGE


@pytest.mark.parametrize("tag", ["123", "a b", "a-b", "%23", "%23%23a", "a%00", "💥", "_", "a" * 101, "a."])
def test_invalid_hashtag_is_a_404(reader: ApiUser, tag: str) -> None:
    assert assert_error(reader.call("get", f"/hashtags/{quote(tag, safe='%')}/posts"), 404)["code"] == "not_found"


def test_editing_a_caption_updates_the_index(author: ApiUser, reader: ApiUser) -> None:
    posts = [author.create_post("#sea #sun") for _ in range(3)]
    author.call("patch", f"/posts/{posts[1]}", {"caption": "#sun #moon"})
    assert list_hashtag_posts(reader, "sea") == [posts[2], posts[0]]
    assert list_hashtag_posts(reader, "sun") == posts[::-1]
    assert list_hashtag_posts(reader, "moon") == [posts[1]]
    author.call("patch", f"/posts/{posts[1]}", {"caption": "nothing"})
    assert list_hashtag_posts(reader, "sun") == [posts[2], posts[0]]
    assert not PostHashtag.objects.filter(post_id=posts[1]).exists()
    author.call("patch", f"/posts/{posts[1]}", {"caption": "#sea"})
    assert list_hashtag_posts(reader, "sea") == posts[::-1]


def test_lists_only_visible_public_posts(author: ApiUser, reader: ApiUser) -> None:
    private, suspended, blocker, blocked, muted = (ApiUser() for _ in range(5))
    follower = reader
    posts = {caller: caller.create_post("#sea") for caller in (private, suspended, blocker, blocked, muted, author)}
    hidden, deleted = author.create_post("#sea"), author.create_post("#sea")
    social.follow(follower.id, private.id)
    accounts.update_profile(private.id, {"is_private": True})
    accounts.suspend(suspended.id)
    social.block(blocker.id, reader.id)
    social.block(reader.id, blocked.id)
    social.mute(reader.id, muted.id)
    services.hide_post(int(hidden))
    author.call("delete", f"/posts/{deleted}")
    for limit in (1, 2, 5):
        assert list_hashtag_posts(reader, "sea", limit) == [posts[author], posts[muted]], (
            "posts of private accounts are left out even for followers"
        )
    assert list_hashtag_posts(private, "sea") == [posts[caller] for caller in (author, muted, blocked, blocker)]
    accounts.update_profile(private.id, {"is_private": False})
    accounts.reinstate(suspended.id)
    social.unblock(blocker.id, reader.id)
    social.unblock(reader.id, blocked.id)
    services.restore_post(int(hidden))
    assert list_hashtag_posts(reader, "sea") == [hidden, *list(posts.values())[::-1]]


def test_cursor_survives_deletion_of_its_post(author: ApiUser, reader: ApiUser) -> None:
    posts = [author.create_post("#sea") for _ in range(5)][::-1]
    first = reader.get("/hashtags/sea/posts?limit=2")
    author.call("delete", f"/posts/{posts[1]}")
    author.create_post("#sea")
    rest = reader.get(first["next"].partition("/api/v1")[2])
    assert [post["id"] for post in rest["results"]] == posts[2:4]


def test_requires_authentication(client: Client) -> None:
    for path in ("/hashtags/sea/posts", "/hashtags?search=sea"):
        assert_error(client.get(f"/api/v1{path}"), 401)


@pytest.mark.parametrize("cursor", ["x", "", "explore.0000000000000001", "hashtags.7", "hashtag_posts.x", "💥"])
def test_malformed_cursor_is_a_400(reader: ApiUser, cursor: str) -> None:
    for path in ("/hashtags/sea/posts?", "/hashtags?search=sea&"):
        assert_error(reader.call("get", f"{path}cursor={quote(cursor)}"), 400, "invalid_cursor")


@pytest.mark.parametrize("size", [2, 50])
def test_hashtag_posts_query_count(
    reader: ApiUser, size: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(size):
        services.create_post(UserFactory().pk, "#sea")
    reader.get(f"/hashtags/sea/posts?limit={size}")
    with django_assert_num_queries(4):  # ids, the end of the list, the public authors, the relationships to them
        assert len(reader.get(f"/hashtags/sea/posts?limit={size}")["results"]) == size


def test_posts_of_a_private_account_do_not_slow_the_list_down(
    author: ApiUser, reader: ApiUser, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """A page examines a bounded number of posts. If all of them are hidden, it is empty and has a cursor."""
    monkeypatch.setattr(hashtag_index, "PUBLIC_USES", replace(hashtag_index.PUBLIC_USES, max_rows=4))
    monkeypatch.setattr(filtered, "MAX_ROUNDS", 3)
    first = reader.create_post("#sea")
    accounts.update_profile(author.id, {"is_private": True})
    for _ in range(30):
        services.create_post(author.id, "#sea")
    reader.get("/me")
    with django_assert_num_queries(2 * 3):  # ids and the end of the scan, in each round
        page = reader.get("/hashtags/sea/posts?limit=5")
    assert page["results"] == []
    assert page["next"] is not None
    assert [post["id"] for post in reader.list_all("/hashtags/sea/posts", 5, may_be_short=True)] == [first]


# --- Search ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_search_finds_hashtags_by_prefix_in_order_of_names(author: ApiUser, reader: ApiUser, limit: int) -> None:
    author.create_post("#sea #seaside #sealife #Season #sun #море #морской")
    author.create_post("#sea")
    assert search_hashtags(reader, "sea", limit) == {"sea": 2, "sealife": 1, "seaside": 1, "season": 1}
    assert search_hashtags(reader, "МОР", limit) == {"море": 1, "морской": 1}


@pytest.mark.parametrize("search", ["SEA", "#sea", "＃Sea", " sea "])
def test_search_ignores_case_and_hash_sign(author: ApiUser, search: str) -> None:
    author.create_post("#sea_100%")
    assert search_hashtags(author, search) == {"sea_100": 1}


def test_search_and_list_fold_the_final_sigma(author: ApiUser) -> None:
    posts = [author.create_post(caption) for caption in ("#ΟΔΟΣ", "#οδοσ", "#Οδοστρωτήρας")]
    for search in ("ΟΔΟΣ", "οδος", "οδοσ", "#Οδοσ"):
        assert search_hashtags(author, search) == {"οδος": 2, "οδοστρωτήρας": 1}
        assert list_hashtag_posts(author, search) == posts[1::-1]
    assert author.get(f"/posts/{posts[1]}")["hashtags"] == ["οδος"]


@pytest.mark.parametrize("search", ["Ünï", "U\u0308ni\u0308", "ünï "])
def test_search_finds_all_compositions(author: ApiUser, search: str) -> None:
    author.create_post("#Ünïcode")
    author.create_post("#u\u0308ni\u0308code")
    assert search_hashtags(author, search) == {"ünïcode": 2}


def test_search_treats_wildcards_as_text(author: ApiUser) -> None:
    author.create_post("#a_b #axb #20years")
    assert search_hashtags(author, "a_") == {"a_b": 1}
    assert search_hashtags(author, "20") == {"20years": 1}
    for nothing in ("%", "a%", "a b", "\\", "a" * 101, "💥"):
        assert search_hashtags(author, nothing) == {}


@pytest.mark.parametrize("query", ["", "?search=", "?search=%20", "?search=%23", "?search=%23%20%23", "?search=%00"])
def test_blank_search_is_a_400(reader: ApiUser, query: str) -> None:
    assert assert_error(reader.call("get", f"/hashtags{query}"), 400)["attr"] == "search"


def test_search_hides_hashtags_without_visible_public_posts(author: ApiUser, reader: ApiUser) -> None:
    private, suspended, blocker, blocked = (ApiUser() for _ in range(4))
    for caller, tag in ((private, "a1"), (suspended, "a2"), (blocker, "a3"), (blocked, "a4")):
        caller.create_post(f"#{tag} #a0")
    hidden, deleted, edited = author.create_post("#a5"), author.create_post("#a6"), author.create_post("#a7")
    author.create_post("#a8 #a0")
    social.follow(reader.id, private.id)
    accounts.update_profile(private.id, {"is_private": True})
    accounts.suspend(suspended.id)
    social.block(blocker.id, reader.id)
    social.block(reader.id, blocked.id)
    services.hide_post(int(hidden))
    author.call("delete", f"/posts/{deleted}")
    author.call("patch", f"/posts/{edited}", {"caption": "nothing"})
    for limit in (1, 2):
        assert search_hashtags(reader, "a", limit) == {"a0": 1, "a8": 1}
    assert search_hashtags(private, "a") == {"a0": 3, "a3": 1, "a4": 1, "a8": 1}, (
        "a private account does not find its own hashtags"
    )
    accounts.update_profile(private.id, {"is_private": False})
    accounts.reinstate(suspended.id)
    social.unblock(blocker.id, reader.id)
    social.unblock(reader.id, blocked.id)
    services.restore_post(int(hidden))
    assert search_hashtags(reader, "a") == {"a0": 5, "a1": 1, "a2": 1, "a3": 1, "a4": 1, "a5": 1, "a8": 1}


def test_search_page_is_full_after_many_filtered_hashtags(author: ApiUser, reader: ApiUser) -> None:
    private = ApiUser()
    private.create_post(" ".join(f"#a{number:03}x" for number in range(3 * hashtag_index.MIN_BATCH_SIZE)))
    author.create_post("#b #a999x")
    accounts.update_profile(private.id, {"is_private": True})
    assert search_hashtags(reader, "a", 1) == {"a999x": 1}


def test_post_count_and_scan_are_bounded(author: ApiUser, reader: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashtag_index, "MAX_POST_COUNT", 2)
    monkeypatch.setattr(hashtag_index, "MAX_USES_SCANNED", 4)
    private = ApiUser()
    for caller in (author, author, author, private, private):
        caller.create_post("#sea")
    assert search_hashtags(reader, "sea") == {"sea": 2}, "counting stops at two of five"
    accounts.update_profile(private.id, {"is_private": True})
    assert search_hashtags(reader, "sea") == {"sea": 2}, "two public posts are among the newest four"
    author.call("delete", f"/posts/{list_hashtag_posts(author, 'sea')[0]}")
    assert search_hashtags(reader, "sea") == {"sea": 1}


def test_private_posts_do_not_hide_a_hashtag(
    author: ApiUser, reader: ApiUser, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(hashtag_index, "MAX_USES_SCANNED", 4)
    monkeypatch.setattr(hashtag_index, "MAX_OLDER_USES_SCANNED", 20)
    author.create_post("#sea #sun")
    private = ApiUser(is_private=True)
    for _ in range(8):
        private.create_post("#sea #sun")
    reader.get("/me")
    with django_assert_num_queries(3):  # the hashtags, their newest uses, older uses of both
        assert reader.get("/hashtags?search=s")["results"] == [
            {"name": "sea", "post_count": 1},
            {"name": "sun", "post_count": 1},
        ]
    private.create_post("#sea #sun")
    private.create_post("#sea")
    assert search_hashtags(reader, "s") == {"sun": 1}, "both share a search of 20 uses"
    assert search_hashtags(reader, "sea") == {"sea": 1}


@pytest.mark.parametrize("size", [2, 50])
def test_hashtag_search_query_count(
    author: ApiUser, reader: ApiUser, size: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(size):
        author.create_post(f"#sea{number}a")
    reader.get("/me")
    with django_assert_num_queries(2):  # the hashtags, their counts
        assert len(reader.get(f"/hashtags?search=sea&limit={size}")["results"]) == size


# --- Index -------------------------------------------------------------------------------------------


@pytest.fixture
def post() -> Post:
    return services.create_post(UserFactory().pk, "hello")


def test_index_follows_the_caption(post: Post, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    def indexed(caption: str) -> set[str]:
        with transaction.atomic():
            hashtag_index.index_caption(post.pk, caption)
        return set(PostHashtag.objects.filter(post=post).values_list("hashtag__name", flat=True))

    assert indexed("#a #b") == indexed("#B #A #a") == {"a", "b"}
    assert indexed("#b #c") == {"b", "c"}
    assert indexed("") == set()
    assert not Hashtag.objects.exists(), "unused hashtags are deleted"
    with django_assert_num_queries(1):
        hashtag_index.index_caption(post.pk, "")


def test_hashtags_are_deleted_with_their_last_use(author: ApiUser) -> None:
    first, second = author.create_post("#sea #sun"), author.create_post("#sea")
    author.call("delete", f"/posts/{first}")
    purge_deleted_posts()
    assert set(Hashtag.objects.values_list("name", flat=True)) == {"sea"}
    author.call("patch", f"/posts/{second}", {"caption": "plain"})
    assert not Hashtag.objects.exists()


def test_only_the_first_thirty_hashtags_count(author: ApiUser) -> None:
    names = [f"t{number}" for number in range(entities.MAX_HASHTAGS + 5)]
    post = author.create_post(" ".join(f"#{name}" for name in names))
    assert author.get(f"/posts/{post}")["hashtags"] == names[: entities.MAX_HASHTAGS]
    assert list_hashtag_posts(author, names[-1]) == []


def test_indexing_query_count_does_not_depend_on_hashtag_count(
    post: Post, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    caption = " ".join(f"#t{number}" for number in range(entities.MAX_HASHTAGS))
    with (
        transaction.atomic(),
        django_assert_num_queries(4),
    ):  # own links, links to known hashtags, new hashtags, links to those
        hashtag_index.index_caption(post.pk, caption)
    assert PostHashtag.objects.filter(post=post).count() == entities.MAX_HASHTAGS
    other = services.create_post(post.author_id, "hello")
    with transaction.atomic(), django_assert_num_queries(1):
        hashtag_index.index_new_post(other.pk, caption)
    assert PostHashtag.objects.filter(post=other).count() == entities.MAX_HASHTAGS
