"""The main path through all programs: sign up, follow, post, deliver by push and pull, read, like, notify."""

from __future__ import annotations

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack


def test_posts_reach_followers_by_push_and_pull(live_stack: LiveStack) -> None:
    reader, ordinary, star = HttpUser(live_stack), HttpUser(live_stack), HttpUser(live_stack)
    other_followers = [HttpUser(live_stack) for _ in range(4)]
    for follower in (reader, *other_followers):
        follower.follow(star)  # five followers: the stack's celebrity threshold
    reader.follow(ordinary)
    assert reader.feed() == []
    eventually(lambda: reader.get(f"/users/{star.username}")["is_celebrity"])
    expected: list[str] = []
    for author in (ordinary, star, ordinary, star):
        expected.insert(0, author.create_post())
        assert author.feed(), "own posts appear at once"
    eventually(lambda: reader.feed() == expected)
    assert reader.feed(limit=1) == reader.feed(limit=3) == expected
    assert reader.get(f"/feed/unread-count?since={expected[2]}") == {"count": 2, "capped": False}

    assert reader.call("POST", f"/posts/{expected[0]}/like").status_code == 200
    eventually(lambda: "like" in [entry["kind"] for entry in star.get("/notifications")["results"]])

    assert ordinary.call("DELETE", f"/posts/{expected[1]}").status_code == 204
    del expected[1]
    assert reader.feed() == expected
    assert reader.call("DELETE", f"/users/{star.username}/follow").status_code == 204
    assert reader.feed() == expected[-1:], "only the ordinary author's first post is left"
    reader.follow(star)
    assert reader.feed() == expected
