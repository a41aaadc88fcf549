"""A process that has imported the settings' libraries and forks for each run with other settings.

A fork saves most of the 1.5 s that the imports take, and there are dozens of runs. The process forgets the project's
own modules before it forks, so each run reads its environment from the start and exits like any program.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from instafeed.devstack.state import PROJECT_ROOT

# prometheus_client also reads the environment when it is imported.
_PROGRAM = """
import json, os, sys
from django.conf import empty, settings
settings.DEBUG
settings._wrapped = empty
for name in [name for name in sys.modules if name.partition(".")[0] in ("instafeed", "prometheus_client")]:
    del sys.modules[name]
print(flush=True)
for line in sys.stdin:
    code, environment, *files = json.loads(line)
    if not (pid := os.fork()):
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
else:
    sys.exit()
os.environ.clear()
os.environ.update(environment)
for number, file in enumerate(files, 1):
    os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
exec(code)
"""


class PreloadedProcess:
    def __init__(self, process: subprocess.Popen[str], directory: Path) -> None:
        self._process = process
        self._files = [directory / "out", directory / "err"]

    def run(self, code: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """`python -c code` with this environment and no other."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([code, dict(environment), *map(str, self._files)]), file=self._process.stdin, flush=True)
        status = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(code, status, *(file.read_text() for file in self._files))


@contextmanager
def preloaded_process(environment: Mapping[str, str]) -> Iterator[PreloadedProcess]:
    """With settings that are right, or nothing could be imported."""
    with (
        TemporaryDirectory(prefix="instafeed-") as directory,
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            cwd=PROJECT_ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "\n", "it has imported them"
        yield PreloadedProcess(process, Path(directory))
