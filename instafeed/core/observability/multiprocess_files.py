"""The files in which processes count, one a process and kind: summed for a scrape, and folded when a process is dead.

What dead processes counted goes into one file a kind, so that the files do not become more with every process there
ever was. All of it happens under the directory's lock, and one rename moves a fold's result into view: no scrape
misses a count or has it twice, and a fold may be killed at any moment.

Names: `counter_<pid>.db` is a process', `counter_sum<n>.db` the n-th fold's result, `counter_add<n>-….db` what a dead
process left for it. Once sum<n> is there, add<n> and sum<n-1> are of no worth. Processes that share a directory see
one another's ids.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from instafeed.core.observability import metrics  # before prometheus_client, as metrics says

# isort: split
from prometheus_client.mmap_dict import MmapedDict

_SUMMED_KINDS = ("counter", "histogram")  # what a dead process counted stays
_LIVE_KIND = "gauge_livesum"  # what it was in the middle of does not
_PROCESS_FILE = re.compile(rf"({'|'.join((*_SUMMED_KINDS, _LIVE_KIND))})_([0-9]+)\.db")
_GENERATION = re.compile(r"_(?:sum|add)([0-9]+)")
_LOCK_TIMEOUT = 2.0  # seconds for whoever has the lock, who needs milliseconds
logger = logging.getLogger(__name__)


def fold_dead_processes() -> None:
    """Fold the files of processes that are no more. Never raises: what fails now is done by the next one."""
    directory = Path(metrics.MULTIPROCESS_DIR)
    try:
        if metrics.MULTIPROCESS_DIR and _dead_process_files(directory):
            with _directory_lock(directory):
                _fold(directory)
    except Exception:
        logger.exception("metrics of dead processes are not folded")


@contextmanager
def merged_files() -> Iterator[list[str]]:
    """Paths of one file a kind, with the sums of all processes' files; valid within the block.

    Raises TimeoutError where somebody keeps the lock.
    """
    directory = Path(metrics.MULTIPROCESS_DIR)
    with _directory_lock(directory):
        (directory / "scrape").mkdir(mode=0o700, exist_ok=True)
        paths = []
        for kind in (*_SUMMED_KINDS, _LIVE_KIND):
            _remove_folded(directory, kind)
            path = directory / "scrape" / f"{kind}_0.db"
            _write_file(path, _sum_files(directory.glob(f"{kind}_*.db")))
            paths.append(str(path))
        yield paths


def _dead_process_files(directory: Path) -> list[tuple[str, Path]]:
    """Kind and path. An id is not given out again in the moment between this look and the rename."""
    found = ((_PROCESS_FILE.fullmatch(path.name), path) for path in directory.glob("*.db"))
    return [(match[1], path) for match, path in found if match and not _is_alive(int(match[2]))]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _fold(directory: Path) -> None:
    dead = _dead_process_files(directory)
    for kind, path in dead:
        if kind == _LIVE_KIND:
            path.unlink(missing_ok=True)
    for kind in _SUMMED_KINDS:
        number = _remove_folded(directory, kind) + 1
        for path in (path for kind_, path in dead if kind_ == kind):
            # Under a name that no process will ever open again, as one with the same id would.
            path.rename(directory / f"{kind}_add{number}-{secrets.token_hex(8)}.db")
        if parts := list(directory.glob(f"{kind}_add*.db")):
            result = directory / f"{kind}.new"
            _write_file(result, _sum_files([*directory.glob(f"{kind}_sum*.db"), *parts]))
            result.rename(directory / f"{kind}_sum{number}.db")
            _remove_folded(directory, kind)


def _remove_folded(directory: Path, kind: str) -> int:
    """Delete what the newest fold has in its sum; that fold's number, or 0."""
    sums = {_generation(path): path for path in directory.glob(f"{kind}_sum*.db")}
    newest = max(sums, default=0)
    for number, path in sums.items():
        if number < newest:
            path.unlink()
    for path in directory.glob(f"{kind}_add*.db"):
        if _generation(path) <= newest:
            path.unlink()
    return newest


def _generation(path: Path) -> int:
    match = _GENERATION.search(path.name)
    return int(match[1]) if match else 0


def _sum_files(paths: Iterable[Path]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for path in paths:
        if path.stat().st_size:  # a process that begins gives its file a size a moment after its name
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
                totals[key] = totals.get(key, 0.0) + value
    return totals


def _write_file(path: Path, values: dict[str, float]) -> None:
    path.unlink(missing_ok=True)
    file = MmapedDict(str(path))
    try:
        for key, value in values.items():
            file.write_value(key, value, 0.0)
    finally:
        file.close()


@contextmanager
def _directory_lock(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_TIMEOUT
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise TimeoutError("somebody keeps the lock of the metrics' files")
            time.sleep(0.005)
        yield
    finally:
        # Not left to the close: a process that was forked meanwhile has the descriptor too.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
