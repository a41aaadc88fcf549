"""`python -m benchmarks.capacity_plan [--users N …] [--costs FILE] …`: what a site of N users needs.

It measures nothing: the costs are the result of an earlier `python -m benchmarks capacity --json FILE`. Without
`--costs` they are those of `docs/capacity.md`. `--help` lists everything that can be assumed of users and hardware.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import Field, fields
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.capacity_model import GB, PARTS, READS, Hardware, Limit, Plan, Profile, plan

MEASURED = Path(__file__).with_name("capacity.json")
SHOWN_LIMITS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    try:
        costs = json.loads(options.pop("costs").read_text())["figures"]
        users, hardware = options.pop("users"), _pick(Hardware, options)
        plans = [plan(costs, Profile(users=each, **_pick_values(Profile, options)), hardware) for each in users]
    except (OSError, ValueError, TypeError) as error:
        parser.error(f"the costs cannot be read: {error}")
    except KeyError as error:
        parser.error(f"the costs lack {error}: measure them with `python -m benchmarks capacity --json FILE`")
    print(table(plans))
    return 0


def table(plans: Sequence[Plan]) -> str:
    """Return the plans side by side, and what limits each."""
    rows = [_column(each) for each in plans]
    names = list(rows[0])
    width = max(map(len, names))
    widths = [max(len(row[name]) for name in names) for row in rows]
    lines = []
    for name in names:
        cells = (f"{row[name]:>{size}}" for row, size in zip(rows, widths, strict=True))
        lines.append(f"  {name:<{width}}  {'  '.join(cells)}")
    return "\n".join([*lines, "", *_limit_lines(plans[-1])])


def _column(each: Plan) -> dict[str, str]:
    rates, cores = each.rates, each.cores
    return {
        "users": f"{each.profile.users:,.0f}",
        "pages / likes / posts a second at the peak": _slashed(
            (sum(rates[read] for read in READS), rates["like"], rates["post"]), ",.0f"
        ),
        "deliveries a second": f"{rates['delivery'] + rates['cold_delivery']:,.0f}",
        "cores in use, of all parts": f"{sum(cores[part] for part in PARTS) + each.replicas * cores['replay']:,.2f}",
        "web: cores / processes": _counted(each, "web"),
        "fan-out workers: cores / processes": _counted(each, "fan_out"),
        "notifications worker: cores, one process": f"{cores['notifications']:.2f}",
        "media workers: cores / processes": _counted(each, "media"),
        "cache: cores / servers": f"{cores['cache']:.2f} / {each.cache_servers}",
        "cache: memory, GB": f"{each.cache_bytes / GB:,.1f}",
        "broker: cores, one server": f"{cores['broker']:.2f}",
        "primary: cores in use / to have": f"{cores['primary']:.2f} / {each.primary_cores}",
        "replicas: number / cores to have of each": f"{each.replicas} / {each.replica_cores}",
        "replicas: cores for reads / for the replay on each": _slashed((cores["replica"], cores["replay"]), ".2f"),
        "disk of each database server, GB": f"{each.disk_bytes / GB:,.0f}",
        "WAL to each replica, MB/s": f"{each.wal_bytes / 1e6:,.1f}",
        "answers to clients / from the cache, MB/s": _slashed(
            (each.sent_bytes / 1e6, each.cache_sent_bytes / 1e6), ",.1f"
        ),
        "pictures, GB a year": f"{each.media_bytes / GB:,.0f}",
        "first to give on one machine": _first(each.host_limits, each.profile),
        "first to give with more machines": _first(each.limits, each.profile),
    }


def _counted(each: Plan, part: str) -> str:
    return f"{each.cores[part]:.2f} / {each.processes[part]}"


def _slashed(values: Sequence[float], style: str) -> str:
    return " / ".join(format(value, style) for value in values)


def _first(limits: Sequence[Limit], profile: Profile) -> str:
    """Return the first limit, if the site is beyond it."""
    return next((limit.part for limit in limits if limit.at < profile.users), "none")


def _limit_lines(each: Plan) -> list[str]:
    """Return at how many users parts give. This does not depend on the users of the plan."""
    lines = []
    for where, limits in (("one machine", each.host_limits), ("more machines", each.limits)):
        lines.append(f"  {where}: users at which parts give")
        lines += [f"  {limit.at:>13,.0f}  {limit.part}" for limit in limits[:SHOWN_LIMITS]]
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity_plan", description="What N users need.")
    parser.add_argument("--costs", type=Path, metavar="FILE", default=MEASURED, help="of `benchmarks capacity --json`")
    for kind in (Profile, Hardware):
        for each in fields(kind):
            _add_option(parser, each)
    return parser


def _add_option(parser: argparse.ArgumentParser, each: Field[Any]) -> None:
    bounds = each.metadata["least"], each.metadata["most"]
    kind: dict[str, Any] = {"type": partial(_amount, *bounds), "default": each.default, "metavar": "N"}
    if each.name == "users":
        kind |= {"nargs": "+", "default": [each.default]}
    parser.add_argument(
        f"--{each.name.replace('_', '-')}", **kind, help=f"{each.metadata['help']} ({each.default:,.12g})"
    )


def _amount(least: float, most: float, text: str) -> float:
    value = float(text.replace(",", ""))
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text} is not from {least:g} to {most:g}")
    return value


def _pick(kind: type[Hardware], options: dict[str, float]) -> Hardware:
    return kind(**_pick_values(kind, options))


def _pick_values(kind: type, options: dict[str, float]) -> dict[str, float]:
    return {each.name: options[each.name] for each in fields(kind) if each.name in options}


if __name__ == "__main__":
    sys.exit(main())
