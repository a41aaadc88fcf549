"""The storage backend of the embedded stack: a local directory, served by `file_view` and filled by `upload_view`.

Not for production or several machines: files are not synced to the disk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from django.core.files.storage import FileSystemStorage

from media import tempdirs
from media.storage.backend import FileMissing, Part, Upload, UploadLost, link_expiry
from media.storage.local import signatures
from media.storage.paths import new_key


class FileStorage(FileSystemStorage):
    """Django's storage with signed URLs and atomic writes."""

    failures = (OSError,)
    min_part_size = 0

    def url(self, name: str | None) -> str:
        if name and name.startswith("private/"):
            _, key, file = name.split("/")
            return self.sign_urls(key, [file])[0]
        return super().url(name)

    def sign_urls(self, key: str, names: Sequence[str]) -> list[str]:
        query = signatures.signed_query(key, link_expiry(key))
        return [f"{self.base_url}private/{key}/{name}?{query}" for name in names]

    def sign_download(self, path: str, filename: str, expires: int) -> str:
        return f"{self.base_url}{path}?{signatures.signed_download(path, filename, expires)}"

    def put(self, path: str, file: IO[bytes], content_type: str) -> None:
        with self.open_for_write(path) as target:
            shutil.copyfileobj(file, target)

    @contextmanager
    def open_for_write(self, path: str) -> Iterator[IO[bytes]]:
        """Provide a file to write. It appears at `path` at the end of the block, or not at all after an exception."""
        target = Path(self.path(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._write_whole(target) as file:
            yield file

    @contextmanager
    def _write_whole(self, target: Path) -> Iterator[IO[bytes]]:
        # The temporary file is below the same root, as a rename is atomic only within one file system.
        with tempfile.NamedTemporaryFile(dir=tempdirs.tempdirs_root(), delete=False) as file:
            try:
                yield file
                file.flush()
                os.replace(file.name, target)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise

    @contextmanager
    def get(self, path: str) -> Iterator[IO[bytes]]:
        try:
            file = open(self.path(path), "rb")  # noqa: SIM115  (closed below; the try covers only the opening)
        except FileNotFoundError as error:
            raise FileMissing(path) from error
        with file:
            yield file

    def read_start(self, path: str, size: int) -> bytes:
        with self.get(path) as file:
            return file.read(size)

    def file_size(self, path: str) -> int | None:
        try:
            return os.stat(self.path(path)).st_size
        except FileNotFoundError:
            return None

    def copy_file(self, source: str, target: str) -> None:
        with self.get(source) as file:
            self.put(target, file, "")

    def remove(self, paths: Sequence[str]) -> None:
        for path in paths:
            file = Path(self.path(path))
            file.unlink(missing_ok=True)
            if file.parent.parent.parent == Path(self.location):  # <kind>/<key>/, never <kind>/
                with suppress(OSError):  # other variants are still there
                    file.parent.rmdir()

    def begin_parts(self, path: str) -> str:
        upload_id = new_key()
        self._parts_directory(upload_id).mkdir(parents=True)
        return upload_id

    def put_part(self, path: str, upload_id: str, number: int, file: IO[bytes]) -> Part:
        # A name of its own: a worker that was overtaken cannot change the part that another one has stored.
        name = f"{number}-{new_key()}"
        try:
            with self._write_whole(self._parts_directory(upload_id) / name) as target:
                shutil.copyfileobj(file, target)
        except FileNotFoundError as error:
            raise UploadLost(path) from error
        return {"name": name}

    def complete_parts(self, path: str, upload_id: str, parts: Sequence[Part]) -> None:
        directory = self._parts_directory(upload_id)
        try:
            with self.open_for_write(path) as target:
                for part in parts:
                    with (directory / part["name"]).open("rb") as source:
                        shutil.copyfileobj(source, target)
        except FileNotFoundError as error:
            raise UploadLost(path) from error
        self.abort_parts(path, upload_id)

    def abort_parts(self, path: str, upload_id: str) -> None:
        # The rename is one step: parts that are stored later find no directory, and if this process dies now, the parts
        # are swept like other temporary files.
        doomed = tempdirs.tempdirs_root() / upload_id
        try:
            os.replace(self._parts_directory(upload_id), doomed)
        except FileNotFoundError:
            return
        shutil.rmtree(doomed, ignore_errors=True)

    def _parts_directory(self, upload_id: str) -> Path:
        """Return the directory of an upload's parts: outside the layout, so it is never served."""
        return Path(self.location) / "uploads-in-parts" / upload_id

    def upload_form(self, path: str, content_type: str, size: int) -> Upload:
        url = f"{self.base_url}upload?policy={signatures.sign_policy(path, content_type, size)}"
        return Upload("POST", url, {"key": path, "Content-Type": content_type})

    def purge(self, keys: Sequence[str]) -> None:
        """Do nothing: there is no CDN."""

    def purge_files(self, paths: Sequence[str]) -> None:
        """Do nothing: there is no CDN."""
