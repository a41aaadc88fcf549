"""The metrics files of several processes, some of them dead."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.parser import text_string_to_metric_families

from instafeed.core.monitoring import exporter
from instafeed.core.observability import metrics, multiprocess_files

ROOT = Path(__file__).resolve().parents[4]
DELIVERIES = mmap_key("instafeed_deliveries", "instafeed_deliveries_total", [], [], "help")
IN_PROGRESS = mmap_key("instafeed_requests_in_progress", "instafeed_requests_in_progress", [], [], "help")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(metrics, "MULTIPROCESS_DIR", str(tmp_path))
    (tmp_path / f"counter_{os.getpid()}.db").touch()
    return tmp_path


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write_file(directory: Path, kind: str, pid: int, key: str, value: float) -> None:
    file = MmapedDict(str(directory / f"{kind}_{pid}.db"))
    file.write_value(key, value, 0.0)
    file.close()


def scrape() -> dict[str, float]:
    families = text_string_to_metric_families(exporter.render_exposition().decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_dead_process_keeps_its_counters_and_loses_its_gauges(directory: Path, dead_pid: int) -> None:
    for pid in (dead_pid, os.getpid()):
        write_file(directory, "counter", pid, DELIVERIES, 3)
        write_file(directory, "gauge_livesum", pid, IN_PROGRESS, 1)
    multiprocess_files.remove_dead_gauges()
    assert scrape() == {"instafeed_deliveries_total": 6, "instafeed_requests_in_progress": 1}


def test_empty_file_is_skipped(directory: Path, dead_pid: int) -> None:
    (directory / f"histogram_{dead_pid}.db").touch()
    write_file(directory, "counter", dead_pid, DELIVERIES, 3)
    assert scrape() == {"instafeed_deliveries_total": 3}


@pytest.mark.parametrize("is_recreated", [True, False])
def test_deleted_files_are_an_error(directory: Path, dead_pid: int, is_recreated: bool) -> None:
    shutil.rmtree(directory)
    if is_recreated:  # a program that starts creates it again
        directory.mkdir()
        write_file(directory, "counter", dead_pid, DELIVERIES, 3)
    status, content_type, body = exporter.build_response()
    assert (status, content_type) == (503, "text/plain; charset=utf-8")
    assert body.decode() == f"the metrics files in {directory} were deleted; restart this program\n"


def test_module_can_be_imported_first_and_without_a_directory() -> None:
    code = "from instafeed.core.observability import multiprocess_files as files; files.remove_dead_gauges()"
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
