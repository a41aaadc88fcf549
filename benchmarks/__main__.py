"""`python -m benchmarks NAME [--quick] [--json FILE] [--data-dir DIR]`: measure one thing on a stack of its own.

Exit status 1 if one of the benchmark's checks failed, 2 if it is called wrongly. Targets are printed, not
asserted: a machine may be slow, an answer may not be wrong.
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

# Each names a module of this package with `run(stack: Stack, *, quick: bool) -> Result`.
BENCHMARKS = ("admin", "fan_out", "feed_read", "likes", "media")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.name not in BENCHMARKS:
        print(f"benchmarks: no benchmark {options.name!r}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _terminate)  # unwinds like Ctrl-C, so that all children end
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure one thing.")
    parser.add_argument("name", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="an empty stack's, instead of a throw-away one")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it work at all?")
    return parser


def _run(name: str, data_dir: Path | None, *, quick: bool) -> Result:
    with benchmark_stack(data_dir) as stack:
        # Only now: the modules import models, and the settings read the stack's environment.
        result: Result = import_module(f"benchmarks.{name}").run(stack, quick=quick)
    return result


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
