"""`python -m benchmarks NAME [--quick] [--json FILE] [--data-dir DIR]`: run one benchmark on a stack of its own.

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

from benchmarks.harness import benchmark_stack
from benchmarks.results import BenchmarkError, Result
from instafeed.devstack.state import StackError

# Each is a module of this package with `run(stack: Stack, *, quick: bool) -> Result`.
BENCHMARKS = ("admin", "fan_out", "feed_read", "likes", "media", "memory", "overload", "posts", "small_posts", "soak")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.name not in BENCHMARKS:
        print(f"benchmarks: unknown benchmark {options.name!r}; choose from {', '.join(BENCHMARKS)}", file=sys.stderr)
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
    return 0 if result.passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run one benchmark.")
    parser.add_argument("name", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result to FILE")
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="data directory of an empty stack (default: a temporary one)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see whether it works")
    return parser


def _run(name: str, data_dir: Path | None, *, quick: bool) -> Result:
    with benchmark_stack(data_dir) as stack:
        # Imported only now: the modules import models, whose settings read the stack's environment.
        result: Result = import_module(f"benchmarks.{name}").run(stack, quick=quick)
    return result


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
