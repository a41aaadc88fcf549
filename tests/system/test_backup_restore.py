"""Follow docs/backup.md: dump a running stack, restore it into a new one, and compare the feeds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from instafeed.devstack import demo_credentials
from instafeed.devstack.postgres_wheel import POSTGRES_BIN
from instafeed.devstack.state import PROJECT_ROOT, StackLayout
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

SMALL = ("--users", "300", "--posts", "1500", "--follows", "4000", "--celebrities", "2")
ENVIRONMENT = {"CELEBRITY_THRESHOLD": "50"}
WORKERS = ("--web-workers", "1", "--celery-workers", "1")


@pytest.fixture(scope="module")
def dumped_stack() -> Iterator[LiveStack]:
    stack = LiveStack(None, *WORKERS, **ENVIRONMENT)
    try:
        yield stack.start()
    finally:
        stack.close()


def run(*command: str, url: str) -> None:
    """Run a command of the page with PostgreSQL's programs and $DATABASE_URL."""
    result = subprocess.run(
        ["/bin/sh", "-euc", " ".join(command)],
        env={"PATH": f"{POSTGRES_BIN}:{os.environ['PATH']}", "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
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


def signed_in(stack: LiveStack) -> dict[str, str]:
    response = stack.post(
        "/api/v1/auth/token",
        json={"username": demo_credentials.DEMO_USERNAME, "password": demo_credentials.DEMO_PASSWORD},
    )
    assert response.status_code == 200, response.text
    return {"Authorization": f"Bearer {response.json()['access']}"}


def feed(stack: LiveStack, headers: dict[str, str]) -> list[tuple[str, int, int]]:
    """Return (id, likes, comments) of all posts in the feed."""
    shown, url = [], "/api/v1/feed?limit=50"
    while url:
        response = stack.get(url, headers=headers)
        assert response.status_code == 200, response.text
        page: dict[str, Any] = response.json()
        shown += [(post["id"], post["like_count"], post["comment_count"]) for post in page["results"]]
        url = page["next"]
    return shown


def manage(stack: LiveStack, *arguments: str) -> str:
    result = stack.manage(*arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.timeout(300)
def test_restored_stack_shows_the_same_feeds(dumped_stack: LiveStack, tmp_path: Path) -> None:
    manage(dumped_stack, "seed_demo", *SMALL)
    before, token = feed(dumped_stack, signed_in(dumped_stack)), signed_in(dumped_stack)
    assert len(before) > 100
    celebrities = "SELECT array_agg(id ORDER BY id) FROM accounts_user WHERE celebrity_state = 2"
    with psycopg.connect(dumped_stack.environment["DATABASE_URL"]) as old:
        stars = old.execute(celebrities).fetchone()
        largest = old.execute("SELECT max(id) FROM accounts_user").fetchone()
    assert stars
    assert stars[0]
    assert largest

    # Two fan-outs that are unfinished at the time of the dump.
    ada, reader = HttpUser(dumped_stack), HttpUser(dumped_stack)
    reader.follow(ada)
    dumped_stack.freeze("worker")
    unfinished = [ada.create_post("not yet delivered"), ada.create_post("not delivered either")]
    dump = tmp_path / "instafeed.dump"
    run(command("pg_dump ", **{"instafeed.dump": str(dump)}), url=dumped_stack.environment["DATABASE_URL"])
    dumped_stack.thaw("worker")
    dumped_stack.stop()

    restored_dir = tmp_path / "restored"
    restored_dir.mkdir(mode=0o700)
    shutil.copy(StackLayout(dumped_stack.data_dir).secrets, StackLayout(restored_dir).secrets)
    StackLayout(restored_dir).unfinished.touch()  # as left by an interrupted first start
    new = LiveStack(restored_dir, "--data-only")
    try:
        new.start()
        assert {"web", "worker", "beat"}.isdisjoint(new.record.children)
        url = new.environment["DATABASE_URL"]
        run(command("pg_restore ", **{"instafeed.dump": str(dump)}), url=url)
        run(command("psql "), url=url)
        shutil.copytree(StackLayout(dumped_stack.data_dir).media, StackLayout(restored_dir).media, dirs_exist_ok=True)
        assert new.stop() == 0
    finally:
        new.close()
    again = LiveStack(restored_dir, *WORKERS, **ENVIRONMENT)
    try:
        again.start()
        manage(again, "resume_fan_outs")
        assert "Rebuilt" in manage(again, "backfill_feeds", "--all")
        assert "Clean" in manage(again, "verify_feeds")
        manage(again, "reconcile_counters", "--dry-run")
        assert feed(again, token) == before
        assert feed(again, signed_in(again)) == before
        with psycopg.connect(again.environment["DATABASE_URL"]) as restored:
            assert restored.execute(celebrities).fetchone() == stars
            open_ = "SELECT count(*) FROM feeds_fanout WHERE finished_at IS NULL"
            eventually(lambda: restored.execute(open_).fetchone() == (0,))
        assert again.get("/health").json()["status"] == "ok"
        reader.stack = ada.stack = again
        assert reader.feed() == unfinished[::-1]
        assert int(HttpUser(again).id) > largest[0] + 100_000, "ids of rows that the dump lacks are not reused"
    finally:
        again.close()
