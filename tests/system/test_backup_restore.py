"""Follow docs/backup.md: dump a running stack, restore it into a new one, and compare the feeds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psycopg
import pytest

from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT, running_record
from tests.support.eventually import eventually, eventually_started
from tests.support.http_user import HttpUser, Site
from tests.support.live_stack import LiveStack
from tests.support.pictures import jpeg
from tests.support.processes import clean_environment
from tests.system.media.test_media import fetched, picture_of, status, upload

CELEBRITIES = "SELECT array_agg(id ORDER BY id) FROM accounts_user WHERE celebrity_state = 2"
UNFINISHED = "SELECT count(*) FROM feeds_fanout WHERE finished_at IS NULL"


_FEW_PROCESSES = "--web-workers 1 --celery-workers 1 --no-sync"


class Checkout:
    """A copy of the project in a directory, and one shell in it that runs the blocks of docs/backup.md as written.

    `var/stack` is the directory of a running stack, which is not stopped. New stacks use `port`. `run("## Back up", 0)`
    runs the first block of commands after that text; the shell ends with the first command that fails.
    """

    def __init__(self, directory: Path, stack: LiveStack) -> None:
        self.directory = directory
        self.page = (PROJECT_ROOT / "docs" / "backup.md").read_text()
        self.base_url = f"http://127.0.0.1:{(port := free_port())}"
        self._replaced = {
            "manage.py stack --stop\n": "manage.py stack --env > /dev/null\n",
            "http://127.0.0.1:8000": self.base_url,
            **{
                f"manage.py stack {option}": f"manage.py stack --port {port} {_FEW_PROCESSES} {option}"
                for option in ("--data-dir", "--empty")
            },
        }
        for name in subprocess.check_output(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=PROJECT_ROOT, text=True
        ).splitlines():
            if not name.startswith(("tests/", "benchmarks/")):
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT_ROOT / name, directory / name)
        (directory / ".venv").symlink_to(sys.prefix)
        (directory / "var").mkdir(mode=0o755)
        (directory / "var" / "stack").symlink_to(stack.data_dir)
        self.output = directory.with_suffix(".out")
        self._shell = subprocess.Popen(
            ["bash", "-eu"],
            cwd=directory,
            env=clean_environment(CELEBRITY_THRESHOLD="5"),
            stdin=subprocess.PIPE,
            stdout=self.output.open("w"),
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._blocks = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the shell and the stacks that it started."""
        self._shell.kill()
        self._shell.wait()
        for name in ("stack", "restored"):
            record = running_record(self.directory / "var" / name)
            if record is not None and record.supervisor.pid != os.getpid():
                subprocess.run(
                    [".venv/bin/python", "manage.py", "stack", "--stop", "--data-dir", f"var/{name}"],
                    cwd=self.directory,
                    env=clean_environment(),
                    check=True,
                )
        self.output.unlink()

    def run(self, text: str, number: int = 0) -> str:
        """Run a block, and return what it prints. Fail with that if a command fails."""
        blocks = re.findall(r"(?:^ {4,7}.*\n)+", self.page[self.page.index(text) :], re.MULTILINE)
        block = re.sub(r"^ +", "", blocks[number], flags=re.MULTILINE)
        for word, other in self._replaced.items():
            block = block.replace(word, other)
        before = len(self.output.read_text())
        self._blocks += 1
        mark = f"block {self._blocks} succeeded"
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{block}\necho '{mark}'\n")
        self._shell.stdin.flush()
        done = f"{mark}\n"
        # One block starts a whole stack.
        eventually_started(lambda: done in self.output.read_text() or self._shell.poll() is not None)
        printed = self.output.read_text()[before:]
        assert mark in printed, f"{block}\n{printed}"
        return printed


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


@pytest.mark.timeout(1_200)
def test_restored_stack_shows_the_same_feeds(live_stack: LiveStack, directory: Path) -> None:
    network = Network(live_stack)
    before = network.feed()
    with Checkout(directory, live_stack) as checkout:
        with live_stack.paused("worker"), live_stack.paused("worker-fan-out"):
            unfinished = [network.friend.create_post("not yet delivered"), network.friend.create_post("nor this one")]
            celebrities = query(live_stack.environment["DATABASE_URL"], CELEBRITIES)
            checkout.run("## Back up")
        largest_id = query(live_stack.environment["DATABASE_URL"], "SELECT max(id) FROM accounts_user")
        assert int(network.star.id) in celebrities

        for step in ("1. **Stop everything", "2. **Start new", "3. **Load", "4. **Skip", "5. **Put"):
            checkout.run(step)
        # Collecting them again takes long, and proves nothing here.
        static = directory / "var" / "restored" / "static"
        shutil.copytree(live_stack.data_dir / "static", static, dirs_exist_ok=True)
        record = running_record(directory / "var" / "restored")
        assert record is not None
        assert {"web", "worker-fan-out", "worker", "beat"}.isdisjoint(record.children)
        assert query(record.environment["DATABASE_URL"], CELEBRITIES) == celebrities
        assert query(record.environment["DATABASE_URL"], UNFINISHED) >= 2

        checkout.run("6. **Start everything")
        finished = checkout.run("7. **Finish")
        assert "Rebuilt" in finished
        assert "Clean" in finished
        assert_site_is_the_same(
            checkout, network, [(post_id, 0, 0) for post_id in unfinished[::-1]] + before, largest_id
        )


def assert_site_is_the_same(
    checkout: Checkout, network: Network, feed: list[tuple[str, int, int]], largest_id: int
) -> None:
    record = running_record(checkout.directory / "var" / "stack")
    assert record is not None
    with httpx.Client(base_url=checkout.base_url, timeout=30, trust_env=False) as client:
        site = RestoredSite(checkout.base_url, client)
        network.move_to(site)
        eventually(lambda: query(record.environment["DATABASE_URL"], UNFINISHED) == 0)
        assert network.feed() == feed
        assert fetched(picture_of(network.reader, network.picture_post)["url"]) == 200
        eventually(lambda: client.get("/health").json()["status"] == "ok")
        assert network.reader.call("GET", "/users/demo").status_code == 404, "the demo network was not added"
        signed_in = client.post("/api/v1/auth/token", json=network.reader.credentials)
        assert signed_in.status_code == 200, signed_in.text
        assert int(HttpUser(site).id) > largest_id + 100_000, "ids of rows that the dump lacks are not reused"


@dataclass
class RestoredSite:
    base_url: str
    client: httpx.Client
