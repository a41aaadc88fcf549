"""The files in `MULTIPROCESS_DIR` in which processes count: prometheus_client's own multiprocess mode.

Each process has one file per kind of metric, `counter_<pid>.db` and so on. The files of dead processes stay, as a
counter must not shrink; only their gauges are removed. The directory is a tmpfs of the container and `manage.py stack`
empties it at its start, so the files do not accumulate. All processes that share a directory must see each other's
process ids.

A program that serves /metrics itself, beside the web server, takes files of its own: `counter_<owner>.<pid>.db`. It
reports these only, and the web server reports all others. So no count is in two responses, and `sum()` over all
targets of Prometheus is right even if all programs of a machine share one directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from instafeed.core.observability import metrics  # before prometheus_client, as metrics explains

# isort: split
from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector

_LIVE_GAUGE_FILES = "gauge_live*_*.db"


class FilesLost(Exception):
    """The files of this process were deleted: what it counts is lost, and others cannot open files either."""

    def __init__(self) -> None:
        super().__init__(f"the metrics files in {metrics.MULTIPROCESS_DIR} were deleted; restart this program")


def take_own_files(owner: str) -> None:
    """Count in files of `owner` from now on, here and in processes that are forked later, and report only these.

    `owner` names a program that serves /metrics, and stays the same when it starts again: its kind and its port. It
    has letters, digits and hyphens.
    """
    metrics.process_files.owner = owner
    metrics.DELIVERIES.inc(0)  # opens the files, so that counters without labels are reported before the first count


def collect() -> Iterable[Metric]:
    """Return the metrics of all processes that this program reports, summed. Raises FilesLost.

    Skips files without content: a process creates its file a moment before it writes the file's size.
    """
    directory = Path(metrics.MULTIPROCESS_DIR)
    if not (directory / f"counter_{metrics.process_files.suffix()}.db").exists():
        raise FilesLost
    paths = []
    for path in directory.glob("*.db"):
        with suppress(FileNotFoundError):  # the gauge of a process that has just ended
            if _read_owner(path) == metrics.process_files.owner and path.stat().st_size:
                paths.append(str(path))
    return MultiProcessCollector.merge(paths, accumulate=True)


def remove_dead_gauges() -> None:
    """Delete the gauges of processes that have ended, such as their requests in progress. Counters stay."""
    if metrics.MULTIPROCESS_DIR:
        for path in Path(metrics.MULTIPROCESS_DIR).glob(_LIVE_GAUGE_FILES):
            if not _is_alive(_read_pid(path)):
                path.unlink(missing_ok=True)


def _read_owner(path: Path) -> str:
    """Return the owner from a file's name; empty if the web server reports it."""
    return path.stem.rpartition("_")[2].rpartition(".")[0]


def _read_pid(path: Path) -> int:
    return int(path.stem.rpartition("_")[2].rpartition(".")[2])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
