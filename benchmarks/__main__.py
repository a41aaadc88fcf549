"""`python -m benchmarks NAME [--quick] [--json FILE] [--png FILE] [--data-dir DIR]`: run a benchmark on its own stack.

Exits with status 1 if a check of the benchmark fails, and 2 if the arguments are wrong. Targets are printed but not
asserted: a machine may be slow, but an answer may not be wrong.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from benchmarks import charts
from benchmarks.harness import benchmark_stack
from benchmarks.results import BenchmarkError, Result
from instafeed.devstack.state import StackError

# Each is a module of this package with `run(stack: Stack, *, quick: bool) -> Result`.
BENCHMARKS = (
    *("admin", "capacity", "fan_out", "feed_read", "growth", "likes", "media", "memory", "overload", "posts"),
    *("pull", "queries", "scale", "small_posts", "soak", "streams", "tier"),
)
CHARTED = ("growth", "tier")  # their results have a chart


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.name not in BENCHMARKS:
        print(f"benchmarks: unknown benchmark {options.name!r}; choose from {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    if options.png and (problem := _png_problem(options.name)):
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _terminate)  # like Ctrl-C, so that all child processes are stopped
    try:
        result = _run(options.name, options.data_dir, quick=options.quick)
    except KeyboardInterrupt:
        return 130
    except (BenchmarkError, StackError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(result.table())
    if options.json:
        options.json.write_text(result.json())
    if options.png and result.chart:
        charts.draw(result.chart, result.name, options.png)
    return 0 if result.passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run one benchmark.")
    parser.add_argument("name", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result to FILE")
    parser.add_argument("--png", type=Path, metavar="FILE", help=f"also draw a chart: {', '.join(CHARTED)}")
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="data directory of an empty stack (default: a temporary one)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see whether it works")
    return parser


def _png_problem(name: str) -> str | None:
    """Return why `--png` is impossible, None if it is possible: before the benchmark runs for minutes."""
    if name not in CHARTED:
        return f"{name} has no chart; --png is for {', '.join(CHARTED)}"
    return None if charts.can_draw() else "--png needs matplotlib: .venv/bin/pip install -e '.[bench]'"


def _run(name: str, data_dir: Path | None, *, quick: bool) -> Result:
    with benchmark_stack(data_dir) as stack:
        # Imported only now: the modules import models, whose settings read the stack's environment.
        result: Result = import_module(f"benchmarks.{name}").run(stack, quick=quick)
    return result


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
