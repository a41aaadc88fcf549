"""The files in `MULTIPROCESS_DIR` in which processes count: prometheus_client's own multiprocess mode.

Each process has one file per kind of metric, `counter_<pid>.db` and so on. The files of dead processes stay, as a
counter must not shrink; only their gauges are removed. The directory is a tmpfs of the container and `manage.py stack`
empties it at its start, so the files do not accumulate. All processes that share a directory must see each other's
process ids.
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


def collect() -> Iterable[Metric]:
    """Return the metrics of all processes, summed.

    Skips files without content: a process creates its file a moment before it writes the file's size.
    """
    paths = []
    for path in Path(metrics.MULTIPROCESS_DIR).glob("*.db"):
        with suppress(FileNotFoundError):  # the gauge of a process that has just ended
            if path.stat().st_size:
                paths.append(str(path))
    return MultiProcessCollector.merge(paths, accumulate=True)


def remove_dead_gauges() -> None:
    """Delete the gauges of processes that have ended, such as their requests in progress. Counters stay."""
    if metrics.MULTIPROCESS_DIR:
        for path in Path(metrics.MULTIPROCESS_DIR).glob(_LIVE_GAUGE_FILES):
            if not _is_alive(int(path.stem.rpartition("_")[2])):
                path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
