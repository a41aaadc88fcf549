"""What the child process cannot do, even if a malicious picture takes it over. Proved with real system calls."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from media.processing import Options, Processor, parent
from tests.unit.media.processing.samples import FORMATS, encode, four_colours, png

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are parts of Linux")

ROOT = Path(parent.__file__).parents[2]
# A program that protects itself as the child does, tries everything, and prints the error number of each attempt.
PROGRAM = """
import ctypes, json, os, resource, signal, socket, sys, threading
from media.processing.child import sandbox
SETUP
libc = ctypes.CDLL(None, use_errno=True)

def read(path):
    with open(path, "rb") as file:
        file.read(1)

def call(function, *arguments):
    if function(*arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")

other, secret, directory = int(sys.argv[1]), sys.argv[2], sys.argv[3]
attempts = {
    "read another process's environment": lambda: read(f"/proc/{other}/environ"),
    "read another process's memory": lambda: read(f"/proc/{other}/mem"),
    "trace another process": lambda: call(libc.ptrace, 16, other, 0, 0),
    "read a file": lambda: read(secret),
    "read the project's settings": lambda: read(os.path.join(os.getcwd(), "pyproject.toml")),
    "write a file": lambda: open(os.path.join(directory, "new"), "w"),
    "list a directory": lambda: os.listdir(directory),
    "open a TCP socket": lambda: socket.socket(),
    "open a Unix socket": lambda: socket.socket(socket.AF_UNIX),
    "make a pair of sockets": lambda: socket.socketpair(),
    "fork": lambda: os.fork() or os._exit(0),
    "start a thread": lambda: threading.Thread(target=id, args=(0,)).start(),
    "execute a program": lambda: os.execv("/bin/true", ["true"]),
    "signal another process": lambda: os.kill(other, 0),
    "access another process's limits": lambda: resource.prlimit(other, resource.RLIMIT_NOFILE),
    "use io_uring": lambda: call(libc.syscall, 425, 1, 0),
    "signal itself": lambda: os.kill(os.getpid(), 0),
    "change its own limits": lambda: resource.setrlimit(resource.RLIMIT_CPU, (900, 900)),
    "import late": lambda: __import__("wave"),
}
missing = sandbox.isolate()
results = {}
for name, attempt in attempts.items():
    try:
        attempt()
        results[name] = 0
    except OSError as error:
        results[name] = error.errno
print(json.dumps([missing, results]))
"""
ALLOWED = {"start a thread", "signal itself", "change its own limits", "import late"}
NEEDS_LANDLOCK = {"read another process's environment", "read another process's memory", "read a file"} | {
    *("read the project's settings", "write a file", "list a directory"),
}

Results = tuple[list[str], dict[str, int]]


def try_everything(directory: Path, setup: str = "") -> Results:
    """Run the program, against another process of this user; return what the kernel lacks and the error numbers."""
    secret = directory / "secret"
    secret.write_text("password")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        command = [sys.executable, "-c", PROGRAM.replace("SETUP", setup), str(other.pid), str(secret), str(directory)]
        finished = subprocess.run(command, cwd=ROOT, env={}, capture_output=True, timeout=100)
        other.kill()
    assert finished.returncode == 0, finished.stderr.decode()
    missing, results = json.loads(finished.stdout)
    return missing, results


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    missing, results = try_everything(tmp_path_factory.mktemp("files"))
    if missing:
        pytest.skip(f"this kernel does not support {missing}")
    return results


def test_child_reaches_no_files_network_or_processes(attempts: dict[str, int]) -> None:
    assert {name for name, error in attempts.items() if not error} == ALLOWED
    assert set(attempts.values()) <= {0, errno.EPERM, errno.EACCES}


@pytest.mark.parametrize(
    ("lacking", "function", "expected"),
    [("Landlock", "restrict_files", NEEDS_LANDLOCK), ("seccomp", "restrict_system_calls", None)],
)
def test_kernel_without_a_part_still_gives_the_other(
    lacking: str, function: str, expected: set[str] | None, attempts: dict[str, int], tmp_path: Path
) -> None:
    setup = "def fail(*_): raise OSError(38, 'Function not implemented')\n" + f"sandbox.{function} = fail"
    missing, results = try_everything(tmp_path, setup)
    assert [name.partition(" ")[0] for name in missing] == [lacking]
    allowed = {name for name, error in results.items() if not error} - ALLOWED
    if expected is None:
        assert allowed, "only the filter refuses some of them"
        assert not allowed & NEEDS_LANDLOCK
    else:
        assert allowed <= expected, "the filter does not look at paths"


def test_less_protection_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    code = 'print(\'{"ready": true, "missing": ["Landlock (no)"]}\', flush=True); input()'
    monkeypatch.setattr(parent, "child_command", lambda _: [sys.executable, "-c", code])
    (tmp_path / "source").write_bytes(encode(four_colours()))
    processor = Processor()
    with caplog.at_level(logging.WARNING, logger=parent.__name__), pytest.raises(parent.ProcessingError):
        processor.process(tmp_path / "source", tmp_path)
    assert "does not support ['Landlock (no)']" in caplog.text


def test_all_formats_are_decoded_inside_the_sandbox(tmp_path: Path) -> None:
    """In one child, which must not need threads, files or devices for any of them."""
    processor = Processor()
    try:
        for format in FORMATS:
            source, target = tmp_path / f"{format}.source", tmp_path / format
            source.write_bytes(encode(four_colours(), format))
            target.mkdir()
            assert processor.process(source, target, Options(jpeg=True)).source_format is format
        assert processor.child_pid
        status = Path(f"/proc/{processor.child_pid}/status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status
    finally:
        processor.close()


def test_large_picture_passes_the_pipes(tmp_path: Path) -> None:
    """Larger than a pipe's buffer in both directions."""
    noise = os.urandom(1200 * 1201 * 3)
    rows = b"".join(b"\0" + noise[row * 3600 : (row + 1) * 3600] for row in range(1200))
    (tmp_path / "source").write_bytes(png(1200, 1200, pixels=zlib.compress(rows, 0)))
    processor = Processor()
    try:
        picture = processor.process(tmp_path / "source", tmp_path)
    finally:
        processor.close()
    assert max(variant.bytes for variant in picture.variants) > 2**18
    assert (tmp_path / "1080.webp").stat().st_size == picture.variants[-1].bytes
