"""What dead processes counted: kept to the last count, in files that do not become more and more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from instafeed.core.observability import exporter, metrics, multiprocess_files

ROOT = Path(__file__).resolve().parents[2]
COUNTED = mmap_key("instafeed_deliveries", "instafeed_deliveries_total", [], [], "help")
BUSY = mmap_key("instafeed_requests_in_progress", "instafeed_requests_in_progress", [], [], "help")
# Processes that count until they are killed, and others that fold until they are; between their ends, scrapes.
LIVES = """
import json, os, signal, time
from django.conf import settings
settings.configure()
from instafeed import metric_files, metrics, scrape

def start(work):
    if pid := os.fork():
        return pid
    work()
    os.kill(os.getpid(), signal.SIGKILL)

def count():
    for number in range(400):
        metrics.DELIVERIES.inc()
        metrics.TASK_SECONDS.labels(f"task-{number % 40}").observe(0.01)
        time.sleep(0.0005)

def fold():
    while True:
        metric_files.fold()

def deliveries():
    lines = scrape.exposition().decode().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("instafeed_deliveries_total "))

seen = []
for _ in range(8):
    counting = [start(count) for _ in range(3)]
    while counting:
        folding = start(fold)
        for _ in range(3):
            seen.append(deliveries())
        os.kill(folding, signal.SIGKILL)
        os.waitpid(folding, 0)
        counting = [pid for pid in counting if os.waitpid(pid, os.WNOHANG) == (0, 0)]
metric_files.fold()
print(json.dumps([*seen, deliveries()]))
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(metrics, "MULTIPROCESS_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def dead() -> int:
    """The id of a process that was."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def leave(directory: Path, kind: str, name: object, key: str, value: float) -> None:
    file = MmapedDict(str(directory / f"{kind}_{name}.db"))
    file.write_value(key, file.read_value(key)[0] + value, 0.0)
    file.close()


def counts() -> dict[str, float]:
    families = text_string_to_metric_families(exporter.render_exposition().decode())
    return {sample.name + str(sample.labels or ""): sample.value for family in families for sample in family.samples}


def deliveries() -> float:
    return counts().get("instafeed_deliveries_total", 0.0)


def files(directory: Path) -> set[str]:
    return {path.name for path in directory.glob("*.db")}


def test_counts_of_the_dead_are_kept_and_what_they_were_at_is_not(directory: Path, dead: int) -> None:
    for pid in (dead, os.getpid()):
        leave(directory, "counter", pid, COUNTED, 3)
        leave(directory, "gauge_livesum", pid, BUSY, 1)
    assert deliveries() == 6
    multiprocess_files.fold_dead_processes()
    assert files(directory) == {"counter_sum1.db", f"counter_{os.getpid()}.db", f"gauge_livesum_{os.getpid()}.db"}
    assert (deliveries(), counts()["instafeed_requests_in_progress"]) == (6, 1)


def test_a_new_process_with_a_dead_ones_id_counts_on(directory: Path, dead: int) -> None:
    for number in range(1, 4):
        leave(directory, "counter", dead, COUNTED, 5)
        multiprocess_files.fold_dead_processes()
        assert files(directory) == {f"counter_sum{number}.db"}
        assert deliveries() == 5 * number


def test_it_may_be_imported_before_all_else_where_no_directory_is_set() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from instafeed import metric_files; metric_files.fold()"],
        cwd=ROOT,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": ""},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_without_content_is_no_obstacle(directory: Path, dead: int) -> None:
    (directory / f"histogram_{dead}.db").touch()
    multiprocess_files.fold_dead_processes()
    assert counts() == {}
    assert files(directory) == {"histogram_sum1.db"}


class Killed(BaseException):
    pass


@pytest.mark.parametrize("survived", range(9))
def test_a_fold_that_is_killed_at_any_step_neither_loses_a_count_nor_doubles_it(
    directory: Path, dead: int, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    leave(directory, "counter", "sum1", COUNTED, 1)
    leave(directory, "counter", dead, COUNTED, 10)
    leave(directory, "counter", "add2-0", COUNTED, 100)  # an earlier fold was killed
    leave(directory, "counter", os.getpid(), COUNTED, 1000)
    with monkeypatch.context() as patch:
        steps = iter([True] * survived)
        for name in ("rename", "unlink"):
            patch.setattr(Path, name, _until(steps, getattr(Path, name)))
        try:
            multiprocess_files.fold_dead_processes()
            is_killed = False
        except Killed:
            is_killed = True
    assert is_killed == (survived < 6), "the steps are known"
    assert deliveries() == 1111
    leave(directory, "counter", dead, COUNTED, 10_000)
    multiprocess_files.fold_dead_processes()
    assert deliveries() == 11_111
    assert len(files(directory)) == 2


def _until(steps: object, function: Callable[..., object]) -> Callable[..., object]:
    def step(*arguments: object, **options: object) -> object:
        if not next(steps, False):  # type: ignore[call-overload]
            raise Killed
        return function(*arguments, **options)

    return step


def test_sums_are_exact_while_processes_count_and_die_and_others_fold_and_are_killed(directory: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)}
    done = subprocess.run(
        [sys.executable, "-c", LIVES], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen == sorted(seen), "no scrape missed a count, or had it twice"
    assert len(set(seen)) > 10, "there were scrapes meanwhile"
    assert seen[-1] == 24 * 400
    assert counts()["instafeed_task_seconds_count{'task': 'task-39'}"] == 24 * 10
    assert len(files(directory)) <= 5, "the sums, and what the script itself had open"


def test_a_lock_that_somebody_keeps_costs_the_counts_of_a_scrape_not_the_scrape(
    directory: Path, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(directory, "counter", dead, COUNTED, 3)
    monkeypatch.setattr(multiprocess_files, "_LOCK_TIMEOUT", 0.05)
    with multiprocess_files.merged_files():
        multiprocess_files.fold_dead_processes()
        assert counts() == {}
    assert deliveries() == 3


def test_a_scrape_of_ten_busy_processes_costs_no_more_than_the_librarys_own(directory: Path) -> None:
    for process in range(10):
        file = MmapedDict(str(directory / f"histogram_{process}.db"))
        for route in range(60):
            labels = ["GET", f"/api/v1/a/route/of/some/length/{route}", "2xx"]
            for edge in (*metrics._REQUEST_BUCKETS, float("inf")):
                name, names = "instafeed_request_seconds_bucket", ["method", "route", "status", "le"]
                file.write_value(
                    mmap_key("instafeed_request_seconds", name, names, [*labels, str(edge)], "help"), 1.0, 0.0
                )
        file.close()

    def of_the_library() -> None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(directory))
        generate_latest(registry)

    assert seconds(exporter.render_exposition) < 3 * seconds(of_the_library)


def seconds(scraped: Callable[[], object]) -> float:
    """Of CPU; the best of a few, as others are at work."""
    tries = []
    for _ in range(3):
        began = time.process_time()
        scraped()
        tries.append(time.process_time() - began)
    return min(tries)
