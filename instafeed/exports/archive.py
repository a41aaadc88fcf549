"""What workers write into the ZIP of an export: pictures, slice by slice, and at the end the data and the directory."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import IO
from zipfile import ZIP_DEFLATED

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Sum
from django.utils import timezone

from accounts.personal_data_registry import Row
from instafeed.exports.models import Export, ExportSlice
from instafeed.exports.zip_parts import ZipPart, end_records
from media import storage

logger = logging.getLogger(__name__)

COPY_BUFFER_SIZE = 2**20  # bytes
SLICES_BATCH_SIZE = 50  # rows with the directories of slices, read at once


class Slice:
    """The bytes that a slice adds to the ZIP, in a temporary file that begins with the tail of the slice before.

    Raises storage.UploadLost if that tail is gone.
    """

    def __init__(self, export: Export, file: IO[bytes]) -> None:
        if export.tail_path:
            try:
                with storage.open(export.tail_path) as tail:
                    shutil.copyfileobj(tail, file, COPY_BUFFER_SIZE)
            except storage.FileMissing as error:
                raise storage.UploadLost(export.tail_path) from error
        self.file = file
        self.zip = ZipPart(file, export.size - export.tail_size)
        self.pictures: list[Row] = []

    @property
    def size(self) -> int:
        return self.file.tell()

    def add(self, media_id: int | None, opening: AbstractContextManager[tuple[str, datetime, IO[bytes]]]) -> None:
        """Add a picture, or a row without a file if it is not there."""
        name = None
        try:
            with opening as (name, modified_at, source), self.zip.entry(name, modified_at) as target:
                shutil.copyfileobj(source, target, COPY_BUFFER_SIZE)
        except storage.FileMissing:
            logger.warning("the file of media %s is missing", media_id)
        self.pictures.append({"media_id": None if media_id is None else str(media_id), "file": name})


def iterate_parts(export: Export) -> Iterator[storage.Part]:
    """Yield the stored parts in their order."""
    slices = ExportSlice.objects.using(DEFAULT_DB_ALIAS).filter(export=export).order_by("number")
    for part in slices.values_list("part", flat=True):
        if part is not None:
            yield part


def iterate_files(export: Export) -> Iterator[Row]:
    """Yield the rows of the section `files`: which file belongs to which picture, null if it was gone."""
    slices = ExportSlice.objects.using(DEFAULT_DB_ALIAS).filter(export=export).order_by("number")
    for pictures in slices.values_list("pictures", flat=True).iterator(SLICES_BATCH_SIZE):
        yield from pictures


def write_end(export: Export, file: IO[bytes], data: Iterable[bytes]) -> int:
    """Write what follows the stored parts: the tail, the data, the directory and the end records. Return its size."""
    added = Slice(export, file)
    with added.zip:
        with added.zip.entry("export.json", timezone.now(), ZIP_DEFLATED) as target:
            for piece in data:
                target.write(piece)
        own_entries, own_directory = added.zip.entry_count, added.zip.close()
    start = added.size
    slices = ExportSlice.objects.using(DEFAULT_DB_ALIAS).filter(export=export)
    for slice_ in slices.order_by("number").defer("pictures").iterator(SLICES_BATCH_SIZE):
        file.write(slice_.directory)
    file.write(own_directory)
    entries = slices.aggregate(sum=Sum("entry_count"))["sum"] or 0
    offset = export.size - export.tail_size + start
    file.write(end_records(entries + own_entries, added.size - start, offset))
    return added.size
