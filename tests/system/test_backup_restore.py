"""Follow docs/backup.md: dump a running stack, restore it into a new one, and compare the feeds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg

from instafeed.devstack.postgres_wheel import POSTGRES_BIN
from instafeed.devstack.state import PROJECT_ROOT, StackLayout
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser, Site
from tests.support.live_stack import LiveStack
from tests.support.pictures import jpeg
from tests.support.stack_command import StackCommand
from tests.system.media.test_media import fetched, picture_of, status, upload

CELEBRITIES = "SELECT array_agg(id ORDER BY id) FROM accounts_user WHERE celebrity_state = 2"
UNFINISHED = "SELECT count(*) FROM feeds_fanout WHERE finished_at IS NULL"


def run(*command: str, url: str) -> None:
    """Run a command of the page with PostgreSQL's programs and $DATABASE_URL."""
    result = subprocess.run(
        ["/bin/sh", "-euc", " ".join(command)],
        env={"PATH": f"{POSTGRES_BIN}:{os.environ['PATH']}", "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr


def command(beginning: str, **values: str) -> str:
    """Return the only command of docs/backup.md with this beginning. `values` replaces names in it."""
    page = (PROJECT_ROOT / "docs" / "backup.md").read_text().replace("\\\n", "")
    found = re.findall(rf"^ *({re.escape(beginning)}.*)$", page, re.MULTILINE)
    assert len(set(found)) == 1, found
    for name, value in values.items():
        found[0] = found[0].replace(name, value)
    return found[0]


def query(url: str, statement: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


class Network:
    """A reader whose feed has pushed and pulled posts, with likes and comments, and a picture."""

    def __init__(self, stack: LiveStack) -> None:
        self.reader, self.friend, self.star = HttpUser(stack), HttpUser(stack), HttpUser(stack)
        others = [HttpUser(stack) for _ in range(5)]  # the stack's celebrity threshold
        for follower in (self.reader, *others):
            follower.follow(self.star)
        self.reader.follow(self.friend)
        eventually(lambda: self.reader.get(f"/users/{self.star.username}")["is_celebrity"])
        for number in range(12):
            for author in (self.friend, self.star):
                post_id = author.create_post(f"number {number}")
                assert others[number % 5].call("POST", f"/posts/{post_id}/like").status_code == 200
                comment = {"text": "Like it!"}
                assert self.reader.call("POST", f"/posts/{post_id}/comments", json=comment).status_code == 201
        media_id = upload(self.friend, jpeg(400, 300))
        eventually(lambda: status(self.friend, media_id) == "ready")
        self.picture_post = self.friend.call("POST", "/posts", json={"media": [media_id]}).json()["id"]
        eventually(lambda: len(self.reader.feed()) == 25)

    def move_to(self, site: Site) -> None:
        """The users keep their access tokens."""
        for user in (self.reader, self.friend, self.star):
            user.stack = site

    def feed(self) -> list[tuple[str, int, int]]:
        """Return (id, likes, comments) of all posts in the reader's feed."""
        posts = (self.reader.get(f"/posts/{post_id}") for post_id in self.reader.feed(limit=10))
        return [(post["id"], post["like_count"], post["comment_count"]) for post in posts]


def test_restored_stack_shows_the_same_feeds(live_stack: LiveStack, directory: Path, tmp_path: Path) -> None:
    network = Network(live_stack)
    before = network.feed()
    url, old = live_stack.environment["DATABASE_URL"], StackLayout(live_stack.data_dir)
    dump = tmp_path / "instafeed.dump"
    with live_stack.paused("worker"), live_stack.paused("worker-fan-out"):
        unfinished = [network.friend.create_post("not yet delivered"), network.friend.create_post("nor this one")]
        celebrities = query(url, CELEBRITIES)
        run(command("PGTARGETSESSIONATTRS=primary pg_dump ", **{"instafeed.dump": str(dump)}), url=url)
    largest_id = query(url, "SELECT max(id) FROM accounts_user")
    assert int(network.star.id) in celebrities

    new = StackLayout(directory)
    shutil.copy(old.secrets, new.secrets)
    new.unfinished.touch()  # as left by an interrupted first start
    with StackCommand(directory, "--data-only") as stack:
        stack.start()
        assert {"web", "worker-fan-out", "worker", "beat"}.isdisjoint(stack.record.children)
        url = stack.environment["DATABASE_URL"]
        run(command("pg_restore ", **{"instafeed.dump": str(dump)}), url=url)
        run(command("psql "), url=url)
        assert query(url, CELEBRITIES) == celebrities
        assert query(url, UNFINISHED) >= 2
        shutil.copytree(old.media, new.media, dirs_exist_ok=True)
        assert stack.stop() == 0

    options = ("--web-workers", "1", "--celery-workers", "1")
    with StackCommand(directory, *options, CELEBRITY_THRESHOLD="5") as stack:
        stack.start()
        stack.manage("resume_fan_outs")
        assert "Rebuilt" in stack.manage("backfill_feeds", "--all")
        assert "Clean" in stack.manage("verify_feeds")
        stack.manage("reconcile_counters", "--dry-run")
        network.move_to(stack)
        eventually(lambda: query(stack.environment["DATABASE_URL"], UNFINISHED) == 0)
        assert network.feed() == [(post_id, 0, 0) for post_id in unfinished[::-1]] + before
        assert fetched(picture_of(network.reader, network.picture_post)["url"]) == 200
        assert stack.get("/health").json()["status"] == "ok"
        signed_in = stack.post("/api/v1/auth/token", json=network.reader.credentials)
        assert signed_in.status_code == 200, signed_in.text
        assert int(HttpUser(stack).id) > largest_id + 100_000, "ids of rows that the dump lacks are not reused"
