"""An export of 2,000 pictures by real workers: bounded memory, killed workers, and a URL that dies at its expiry."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID
from zipfile import ZipFile

import httpx
import psutil
import psycopg
import pytest

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

PICTURES, PICTURE_SIZE = 2_000, 100_000  # bytes; 200 MB, so a worker that collected them would show it
MAX_WORKER_MEMORY = 200 * 10**6  # bytes
KILLS = 2

# A few bytes of each file are its own; the rest is the same random text.
_CREATE_PICTURES = """
import random
from io import BytesIO
from accounts.models import User
from media import storage
from media.models import Media, Status
from tests.support.pictures import VARIANTS
owner, rest, rows = User.objects.get(pk={user_id}), random.randbytes({size} - 4), []
for number in range({count}):
    key = storage.new_key()
    storage.save(f"public/{{key}}/1080.webp", BytesIO(number.to_bytes(4, "big") + rest), "image/webp")
    rows.append(Media.objects.create(owner=owner, key=key, is_public=True, status=Status.READY, variants=VARIANTS))
print(rows[0].pk)
"""

# Of an export, only the end reads this table, so the worker waits there.
_HOLD_UP_THE_END = "LOCK TABLE accounts_formerusername IN ACCESS EXCLUSIVE MODE"
_LEASE = "SELECT lease FROM exports_export WHERE id = %s"
_END_LEASE = "UPDATE exports_export SET due_at = now() WHERE id = %s"


@pytest.fixture
def database(live_stack: LiveStack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(live_stack.environment["DATABASE_URL"], autocommit=True) as connection:
        yield connection


def create_pictures(stack: LiveStack, owner: HttpUser, count: int) -> None:
    stack.manage("shell", "-c", _CREATE_PICTURES.format(user_id=owner.id, size=PICTURE_SIZE, count=count))


def get_export(user: HttpUser, export_id: str) -> Any:
    return user.get(f"/me/exports/{export_id}")


def peak_memory(stack: LiveStack) -> int:
    """Return the largest resident set that any process of the worker has had, in bytes."""
    worker = psutil.Process(stack.part("worker").pid)
    peaks = []
    for process in worker.children(recursive=True):
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):  # one that has just ended
            status = Path(f"/proc/{process.pid}/status").read_text()
            if "celery" in " ".join(process.cmdline()):  # and not the processes that decode pictures
                peaks.append(int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024)
    return max(peaks)


def download(url: str, path: Path) -> None:
    with httpx.stream("GET", url, trust_env=False, timeout=60) as response, path.open("wb") as file:
        assert response.status_code == 200
        for chunk in response.iter_bytes():
            file.write(chunk)


@pytest.mark.kills_a_part
def test_large_export_despite_killed_workers(
    live_stack: LiveStack, database: psycopg.Connection, tmp_path: Path
) -> None:
    user = HttpUser(live_stack)
    create_pictures(live_stack, user, PICTURES)
    peaks = [peak_memory(live_stack)]
    seen = [0]

    def progress() -> int:
        seen.append(get_export(user, export_id)["progress"])
        return seen[-1]

    def claim() -> UUID | None:
        """Return the token of the worker's claim, another one in each slice. None between two slices."""
        (lease,) = database.execute(_LEASE, [export_id]).fetchone() or (None,)
        return lease

    def has_other_claim(dead: UUID | None) -> bool:
        return claim() not in (None, dead)

    with psycopg.connect(live_stack.environment["DATABASE_URL"]) as other:
        other.execute(_HOLD_UP_THE_END)  # so that it is killed while it works
        response = user.call("POST", "/me/exports")
        assert response.status_code == 202
        export_id, dead = response.json()["id"], None
        eventually(lambda: progress() > 0)
        for _ in range(KILLS):
            eventually(partial(has_other_claim, dead))
            progress()  # not less than before the kill
            peaks.append(peak_memory(live_stack))
            live_stack.kill("worker")
            dead = claim()
            database.execute(_END_LEASE, [export_id])  # 30 s early
    eventually(lambda: progress() == 100)
    assert seen == sorted(seen), "nothing was begun again"
    peaks.append(peak_memory(live_stack))
    print("peak memory of a worker process before, at the kills and after, in MB:", *(p // 10**6 for p in peaks))  # noqa: T201
    assert max(peaks) < MAX_WORKER_MEMORY

    ready = get_export(user, export_id)
    download(ready["url"], tmp_path / "export.zip")
    assert (tmp_path / "export.zip").stat().st_size == ready["size"] > PICTURES * PICTURE_SIZE
    with ZipFile(tmp_path / "export.zip") as found:
        assert found.testzip() is None
        files = json.loads(found.read("export.json"))["files"]
        assert len({row["media_id"] for row in files}) == PICTURES
        assert {found.read(row["file"])[:4] for row in files} == {n.to_bytes(4, "big") for n in range(PICTURES)}


def test_url_is_dead_after_the_expiry(live_stack: LiveStack, database: psycopg.Connection) -> None:
    user = HttpUser(live_stack)
    create_pictures(live_stack, user, 3)
    export_id = user.call("POST", "/me/exports").json()["id"]
    eventually(lambda: get_export(user, export_id)["status"] == "ready")
    database.execute("UPDATE exports_export SET expires_at = now() + interval '20 s' WHERE id = %s", [export_id])
    url = get_export(user, export_id)["url"]
    assert httpx.head(url, trust_env=False, timeout=30).status_code == 200
    eventually(lambda: httpx.head(url, trust_env=False, timeout=30).status_code == 403)
    eventually(lambda: user.call("GET", f"/me/exports/{export_id}").status_code == 404)
