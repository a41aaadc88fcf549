"""The space of the disk as gauges, measured at each scrape of the metrics.

It is the disk of the root file system. In a container that is Docker's disk, which holds the volumes of all services,
unless an operator placed them elsewhere.
"""

from __future__ import annotations

import os


def disk_gauges() -> dict[str, float]:
    """Return the gauges by metric name."""
    disk = os.statvfs("/")
    return {
        "instafeed_disk_free_bytes": disk.f_bavail * disk.f_frsize,
        "instafeed_disk_size_bytes": disk.f_blocks * disk.f_frsize,
    }
