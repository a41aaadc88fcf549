"""Steps in the life of an export, for tests."""

from __future__ import annotations

import json
import random
import tempfile
from datetime import timedelta
from io import BytesIO
from typing import Any, NamedTuple
from zipfile import ZipFile

from accounts.models import User
from instafeed.core.jobs.leased import Outcome, now_plus
from instafeed.exports import requests, worker
from instafeed.exports.models import Export
from media import storage
from media.models import Media
from tests.support.leased_jobs import make_due, make_first
from tests.support.pictures import jpeg, ready_media

MAX_SLICES = 50


class Archive(NamedTuple):
    """The content of a finished export."""

    names: list[str]
    data: dict[str, Any]  # of export.json
    files: dict[str, bytes]

    def file_of(self, media: Media) -> bytes | None:
        """Return the content of the picture's file, or None if it is listed without one."""
        (name,) = (row["file"] for row in self.data["files"] if row["media_id"] == str(media.pk))
        return None if name is None else self.files[name]


def request(user: User) -> Export:
    return requests.request_export(user.pk)


def reload(export: Export) -> Export:
    return Export.objects.get(pk=export.pk)


def work(export: Export) -> Outcome:
    """Let a worker do the next slice of this export, if it is due."""
    return worker.process_next() if make_first(Export, export.pk) else Outcome.UNCLAIMED


def finish(export: Export) -> Export:
    """Let workers do the rest, retries at once, in at most `MAX_SLICES`. Return the row."""
    for _ in range(MAX_SLICES):
        if work(export) not in (Outcome.CONTINUED, Outcome.FAILED, Outcome.POSTPONED):
            return reload(export)
        make_due(Export, export.pk)
    raise AssertionError(f"not finished: {reload(export).error}")


def read(export: Export) -> Archive:
    with tempfile.TemporaryFile() as file:
        with storage.open(export.path) as stored:
            file.write(stored.read())
        assert file.tell() == export.size
        with ZipFile(file) as found:
            assert found.testzip() is None
            files = {name: found.read(name) for name in found.namelist()}
            assert len(files) == len(found.namelist()), "no name twice"
            return Archive(found.namelist(), json.loads(files["export.json"]), files)


def kept_original(owner: User, size: int = 3 * 2**20) -> Media:
    """Create a picture whose original is kept: a JPEG by its beginning, of random bytes, so that no two are equal."""
    path = storage.new_incoming_path()
    storage.save(path, BytesIO((jpeg() + random.randbytes(size))[:size]), "image/jpeg")
    return ready_media(owner, original_path=path)


def stored(path: str) -> bytes:
    with storage.open(path) as file:
        return file.read()


def expire(export: Export) -> None:
    Export.objects.filter(pk=export.pk).update(expires_at=now_plus(timedelta(seconds=-1)))
