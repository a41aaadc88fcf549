"""Each benchmark at a tiny size: it finishes, passes its checks, and writes its result as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import charts
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.results import Result, percentile
from instafeed.devstack.state import PROJECT_ROOT
from tests.support import prebuilt_data
from tests.support.processes import clean_environment

RATIOS = {
    "admin": {"median", "slowest"},
    "capacity": {"page_to_bare_cpu", "predicted_to_measured"},
    "fan_out": {"to_yardstick"},
    "feed_read": {"push_only", "hybrid", "push_only_to_bare", "hybrid_to_bare"},
    "growth": {"page_p50", "page_cpu", "delivery", "delivery_cpu", "yardstick_p50"},
    "likes": {"one_post_p50", "one_post_p99"},
    "media": {"plain"},
    "memory": {"timeline_to_list", "web_to_plain_django"},
    "overload": {"goodput", "after_to_before_p99"},
    "posts": {"p50_to_bare", "plain_p50_to_bare"},
    "pull": {
        *("first_orm", "first_activity_stream", "deep_orm", "deep_activity_stream", "cold_to_first"),
        *("first_orm_grown", "first_activity_stream_grown", "deep_orm_grown", "deep_activity_stream_grown"),
        "cold_to_first_grown",
    },
    "queries": set(),
    "scale": {
        *(f"{kind}_cpu_2" for kind in ("page", "delivery")),
        *(f"{kind}_predicted_{count}" for kind in ("page", "delivery") for count in ("one", 2)),
        *(f"{kind}_predicted_{count}" for kind in ("list", "fan_out") for count in (1, 2)),
        *("list_cpu_2", "fan_out_cpu_2"),
    },
    "small_posts": {"backlog_cpu_to_yardstick"},
    "soak": set(),
    "streams": {"pulled_cpu_to_read"},
    "tier": {"feed_p50", "hybrid_p50"},
}


def run_benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(
        command, cwd=PROJECT_ROOT, env=clean_environment(), capture_output=True, text=True, timeout=600
    )


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """The data directory of an empty stack."""
    with tempfile.TemporaryDirectory(prefix="instafeed-", ignore_cleanup_errors=True) as directory:
        prebuilt_data.copy_stack_directory(Path(directory))
        yield Path(directory)


@pytest.mark.timeout(660)
@pytest.mark.parametrize("name", BENCHMARKS)
def test_quick_run_passes_and_writes_json(name: str, tmp_path: Path, data_dir: Path) -> None:
    file = tmp_path / "result.json"
    finished = run_benchmark(name, "--quick", "--json", str(file), "--data-dir", str(data_dir))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    result = json.loads(file.read_text())
    assert result.keys() == {"name", "figures", "ratios", "checks"}
    assert result["name"] == name
    assert result["ratios"].keys() == RATIOS[name]
    assert set(result["checks"].values()) == {0}
    for group in ("figures", "ratios"):
        assert all(isinstance(value, int | float) and value >= 0 for value in result[group].values())
    assert all(ratio > 0 for ratio in result["ratios"].values())
    for figure in result["figures"]:
        assert figure in finished.stdout


def test_unknown_name_is_rejected_with_the_known_names() -> None:
    finished = run_benchmark("nonsense")
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert len(finished.stderr.splitlines()) == 1
    assert all(name in finished.stderr for name in BENCHMARKS)


@pytest.mark.parametrize(("name", "can_draw", "reason"), [("media", True, "no chart"), ("tier", False, "matplotlib")])
def test_impossible_chart_is_rejected_before_the_benchmark_runs(
    name: str,
    can_draw: bool,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(charts, "can_draw", lambda: can_draw)
    assert main([name, "--png", str(tmp_path / "chart.png")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line


def test_chart_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="of the extra `bench`, which is large")
    file = tmp_path / "chart.png"
    charts.draw(charts.Chart("requests/s", "ms", [charts.Curve("feed", [(100, 3.0), (200, 5.0)])]), "tier", file)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_failed_check_is_shown() -> None:
    assert Result("x", checks={"missing": 0}).passed
    failed = Result("x", checks={"missing": 3})
    assert not failed.passed
    assert "3 WRONG" in failed.table()


@pytest.mark.parametrize(("percent", "expected"), [(50, 2), (75, 3), (99, 4), (100, 4)])
def test_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    assert percentile([4, 1, 3, 2], percent) == expected
    assert percentile([], percent) == 0
