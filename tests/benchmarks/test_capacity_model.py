"""The arithmetic of what a site needs, and the command that prints it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import capacity_plan
from benchmarks.capacity_model import (
    GB,
    HOST,
    PARTS,
    Hardware,
    Limit,
    Profile,
    cache_bytes,
    cores_by_part,
    disk_bytes,
    mean_cost,
    plan,
    rates,
    throughput,
)
from instafeed.devstack.state import PROJECT_ROOT

COSTS = {
    "page_cpu_web_ms": 1.5,
    "page_cpu_cache_ms": 0.25,
    "hybrid_page_cpu_web_ms": 2.0,
    "cold_page_cpu_web_ms": 3.0,
    "cold_page_cpu_primary_ms": 1.0,
    "list_cpu_replica_ms": 1.0,
    "like_cpu_web_ms": 4.0,
    "like_cpu_primary_ms": 2.0,
    "like_cpu_replica_ms": 0.5,
    "like_wal_bytes": 8_000.0,
    "notification_cpu_notifications_ms": 0.2,
    "post_cpu_web_ms": 12.0,
    "post_cpu_primary_ms": 8.0,
    "fan_out_cpu_fan_out_ms": 0.3,
    "delivery_cpu_cache_ms": 0.004,
    "cold_delivery_cpu_cache_ms": 0.001,
    "picture_cpu_media_ms": 400.0,
    "picture_stored_bytes": 200_000.0,
    "page_sent_bytes": 17_000.0,
    "user_disk_bytes": 1_000.0,
    "follow_disk_bytes": 100.0,
    "post_disk_bytes": 1_500.0,
    "like_disk_bytes": 500.0,
    "user_cache_bytes": 900.0,
    "entry_cache_bytes": 10.0,
    "post_cache_bytes": 800.0,
}
MILLION = Profile()
HARDWARE = Hardware()


def test_default_profile_is_500_requests_a_second() -> None:
    at_peak = rates(MILLION)
    pages = at_peak["page"] + at_peak["hybrid_page"] + at_peak["cold_page"]
    assert (pages, at_peak["like"], at_peak["post"]) == pytest.approx((450, 45, 5))
    assert at_peak["notification"] == at_peak["like"]
    assert at_peak["delivery"] + at_peak["cold_delivery"] == pytest.approx(5 * MILLION.audience)


def test_everything_is_proportional_to_the_users() -> None:
    double = replace(MILLION, users=2 * MILLION.users)
    small, large = plan(COSTS, MILLION, HARDWARE), plan(COSTS, double, HARDWARE)
    assert large.cores == pytest.approx({part: 2 * cores for part, cores in small.cores.items()})
    assert large.rates == pytest.approx({name: 2 * rate for name, rate in small.rates.items()})
    for name in ("cache_bytes", "disk_bytes", "wal_bytes", "sent_bytes", "media_bytes"):
        assert getattr(large, name) == pytest.approx(2 * getattr(small, name))
    # So the users at which a part gives do not depend on those of the plan.
    assert [limit.part for limit in large.limits] == [limit.part for limit in small.limits]
    assert [limit.at for limit in large.limits] == pytest.approx([limit.at for limit in small.limits])


def test_replay_of_writes_is_apart_from_reads_of_replicas() -> None:
    cores = cores_by_part(COSTS, {**dict.fromkeys(rates(MILLION), 0.0), "list": 3_000, "like": 1_000})
    assert cores["replica"] == pytest.approx(3)
    assert cores["replay"] == pytest.approx(0.5)
    assert cores["web"] == pytest.approx(4)


def test_replicas_share_reads_and_each_replays_all_writes() -> None:
    read_much = replace(MILLION, lists=4_000)  # 50,000 lists a second: 50 cores
    needed = plan(COSTS, read_much, HARDWARE)
    free = HARDWARE.database_cores * HARDWARE.utilisation - needed.cores["replay"]
    assert needed.cores["replica"] == pytest.approx(50)
    assert (needed.replicas - 1) * free < needed.cores["replica"] <= needed.replicas * free
    used = needed.cores["replica"] / needed.replicas + needed.cores["replay"]
    assert (needed.replica_cores - 1) * HARDWARE.utilisation < used <= needed.replica_cores * HARDWARE.utilisation


def test_processes_and_servers_leave_room_for_the_target_utilisation() -> None:
    needed = plan(COSTS, replace(MILLION, users=10_000_000), HARDWARE)
    for part, count in needed.processes.items():
        assert (count - 1) * HARDWARE.utilisation < needed.cores[part] <= count * HARDWARE.utilisation or count == 1
    assert needed.cache_servers * HARDWARE.cache_gb * GB >= needed.cache_bytes
    assert needed.cache_servers * HARDWARE.utilisation >= needed.cores["cache"]


def test_memory_and_disk_are_those_of_users_and_posts() -> None:
    alone = replace(MILLION, posts=0, likes=0)
    assert cache_bytes(COSTS, alone) == pytest.approx(600_000 * (900 + 500 * 10))
    assert disk_bytes(COSTS, alone) == pytest.approx(1_000_000 * (1_000 + 20 * 100))
    daily = 360_000 * (0.4 * 1_500 + 3.6 * 500)
    assert disk_bytes(COSTS, MILLION) - disk_bytes(COSTS, alone) == pytest.approx(365 * daily)
    assert cache_bytes(COSTS, MILLION) - cache_bytes(COSTS, alone) == pytest.approx(7 * 360_000 * 0.4 * 800)


@pytest.mark.parametrize("name", ["host_limits", "limits"])
def test_part_gives_when_its_load_reaches_its_capacity(name: str) -> None:
    limits: list[Limit] = getattr(plan(COSTS, MILLION, HARDWARE), name)
    assert limits == sorted(limits, key=lambda limit: limit.at)
    for limit in limits:
        just_below, just_above = (
            plan(COSTS, replace(MILLION, users=limit.at * factor), HARDWARE) for factor in (0.99, 1.01)
        )
        assert limit.part not in _exceeded(getattr(just_below, name), just_below.profile)
        assert limit.part in _exceeded(getattr(just_above, name), just_above.profile)


def _exceeded(limits: list[Limit], profile: Profile) -> list[str]:
    return [limit.part for limit in limits if limit.at < profile.users]


def test_single_consumer_limits_the_site_however_many_machines_there_are() -> None:
    costs = COSTS | {"notification_cpu_notifications_ms": 5.0}  # 0.225 cores of the half core that it may use
    (first, *_) = plan(costs, MILLION, HARDWARE).limits
    assert first.part == "the notifications' consumer"
    assert first.at == pytest.approx(1_000_000 * 0.5 / 0.225)


def test_throughput_is_that_of_the_part_that_gives_first() -> None:
    cost = {"web": 2.0, "cache": 0.5, "primary": 1.0}
    assert throughput(cost, {"web": 2, "cache": 1, "primary": 4}) == Limit("web", 1_000)
    assert throughput(cost, {"web": 8, "cache": 1, "primary": 4}) == Limit("cache", 2_000)
    assert throughput(cost, {"web": 8, "cache": 1, "primary": 1}) == Limit("primary", 1_000)
    assert throughput(cost, {"web": 8, "cache": 8, "primary": 8, HOST: 7}) == Limit(HOST, 2_000)


def test_process_that_waits_for_servers_is_busy_while_they_work() -> None:
    cost = {"worker": 1.0, "cache": 3.0}
    assert throughput(cost, {"worker": 1, "cache": 1}, waiting=["worker"]) == Limit("worker", 250)
    assert throughput(cost, {"worker": 8, "cache": 1.5}, waiting=["worker"]) == Limit("cache", 500)


def test_mean_cost_weighs_operations_by_their_shares() -> None:
    cost = mean_cost(COSTS, {"page": 0.75, "like": 0.25})
    assert cost.keys() == set(PARTS)
    assert cost["web"] == pytest.approx(0.75 * 1.5 + 0.25 * 4)
    assert cost["primary"] == pytest.approx(0.25 * 2)
    assert cost["media"] == 0


@pytest.fixture
def costs_file(tmp_path: Path) -> Path:
    file = tmp_path / "costs.json"
    file.write_text(json.dumps({"figures": COSTS}))
    return file


def test_command_prints_a_column_for_each_number_of_users(costs_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert capacity_plan.main(["--costs", str(costs_file), "--users", "1000000", "25,000,000"]) == 0
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if "pages / likes / posts" in line)
    assert row.split("peak")[1].split() == ["450", "/", "45", "/", "5", "11,250", "/", "1,125", "/", "125"]
    assert "none" in printed
    assert "one machine: " in printed


def test_command_uses_the_given_profile_and_hardware(costs_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--costs", str(costs_file), "--likes", "0", "--cache-gb", "1"]
    assert capacity_plan.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "450 / 0 / 5" in printed
    memory = cache_bytes(COSTS, MILLION) / GB
    assert f"/ {int(memory) + 1}" in next(line for line in printed.splitlines() if "cache: cores / servers" in line)


def test_docs_show_what_the_measured_costs_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert capacity_plan.main(["--users", "1000000", "10000000", "100000000"]) == 0
    printed = [line.strip() for line in capsys.readouterr().out.splitlines()]
    page = {line.strip() for line in (PROJECT_ROOT / "docs" / "capacity.md").read_text().splitlines()}
    assert [line for line in printed if line not in page] == []


@pytest.mark.parametrize(
    ("content", "reason"), [("{}", "figures"), ("[", "cannot be read"), ('{"figures": {}}', "lack"), (None, "No such")]
)
def test_unusable_costs_are_rejected_in_one_line(
    content: str | None, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "costs.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SystemExit) as ended:
        capacity_plan.main(["--costs", str(file)])
    assert ended.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert reason in line


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("users", value) for value in ("0", "-1", "nan", "inf", "1e300", "many")),
        *(("cold", "1.1"), ("likes", "-1"), ("utilisation", "0"), ("cache-gb", "0")),
    ],
)
def test_impossible_amount_is_rejected(
    option: str, value: str, costs_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        capacity_plan.main(["--costs", str(costs_file), f"--{option}", value])
    assert ended.value.code == 2
    assert f"--{option}" in capsys.readouterr().err.splitlines()[-1]


def test_site_where_nothing_happens_needs_one_of_each(costs_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--daily-active", "--weekly-active", "--follows")
    assert capacity_plan.main(["--costs", str(costs_file), *(text for each in options for text in (each, "0"))]) == 0
    assert "0.00 / 1" in capsys.readouterr().out
