"""The child may die, hang, babble or lie: the right error comes of it, and the next picture works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from media.processing import SIZES, BadPicture, Limits, Options, ProcessingError, Processor, Reason
from media.processing import parent as processor
from media.processing.child import job_loop
from tests.media.processing.samples import encode, four_colours, png

ROOT = Path(processor.__file__).parents[2]
READY = (
    f"import sys, os, signal, json; print({job_loop.READY_LINE.decode().strip()!r}, flush=True); sys.stdin.readline(); "
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "upload.txt"  # what a file is called means nothing
    path.write_bytes(encode(four_colours()))
    return path


@pytest.fixture(scope="module")
def shared() -> Iterator[Processor]:
    """A child for tests that leave it alive or do not care."""
    shared = Processor()
    yield shared
    shared.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[Callable[..., Processor]]:
    made: list[Processor] = []

    def make(**limits: float) -> Processor:
        made.append(Processor(Limits(**limits)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


def works(pictures: Processor, source: Path) -> bool:
    return pictures.process(source, source.parent).width == 96


def test_all_named_files_are_written(shared: Processor, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "variants"
    target.mkdir()
    picture = shared.process(source, target, Options(jpeg=True))
    assert [variant.size for variant in picture.variants] == [*SIZES, *SIZES]
    assert {path.name for path in target.iterdir()} == {variant.filename for variant in picture.variants}
    assert all((target / variant.filename).stat().st_size == variant.bytes for variant in picture.variants)


def test_relative_paths_are_resolved_by_the_caller(
    shared: Processor, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    assert shared.process(Path(source.name), Path()).height == 64


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Reason.UNSUPPORTED),
        (b"<html>", Reason.UNSUPPORTED),
        (encode(four_colours())[:100], Reason.DAMAGED),
        (png(50_000, 50_000), Reason.TOO_MANY_PIXELS),
        (encode(four_colours()) + bytes(20 * 2**20), Reason.TOO_MANY_BYTES),
    ],
    ids=["empty", "html", "part", "bomb", "long"],
)
def test_bad_picture_is_refused_and_leaves_nothing(
    shared: Processor, tmp_path: Path, content: bytes, reason: Reason
) -> None:
    (tmp_path / "source").write_bytes(content)
    with pytest.raises(BadPicture) as raised:
        shared.process(tmp_path / "source", tmp_path)
    assert raised.value.reason is reason
    assert str(raised.value) == reason.text
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_other_failures_are_processing_errors(shared: Processor, source: Path, tmp_path: Path) -> None:
    with pytest.raises(ProcessingError, match="FileNotFoundError"):
        shared.process(tmp_path / "gone", tmp_path)
    with pytest.raises(ProcessingError, match="FileNotFoundError"):
        shared.process(source, tmp_path / "gone")
    with pytest.raises(ProcessingError, match="IsADirectoryError"):
        shared.process(tmp_path, tmp_path)
    assert works(shared, source)


def test_child_is_replaced_after_its_number_of_pictures(pictures: Callable[..., Processor], source: Path) -> None:
    three = pictures(pictures=3)
    pids = []
    for _ in range(4):
        assert works(three, source)
        pids.append(three.child_pid)
    assert pids[0] == pids[1] is not None
    assert pids[2] is None
    assert pids[3] not in (None, pids[0])


def test_child_has_an_empty_environment_and_limits(
    pictures: Callable[..., Processor], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "do not tell")
    one = pictures()
    assert works(one, source)
    assert one.child_pid
    child = psutil.Process(one.child_pid)
    assert child.environ() == {}
    assert os.getsid(child.pid) == child.pid
    assert child.rlimit(psutil.RLIMIT_AS)[0] == Limits().memory
    assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert 0 < child.rlimit(psutil.RLIMIT_CPU)[0] < 60
    assert child.rlimit(psutil.RLIMIT_FSIZE)[0] < 2**30
    assert not [connection for connection in child.net_connections() if connection.status != psutil.CONN_NONE]


def test_child_killed_between_pictures_is_replaced(pictures: Callable[..., Processor], source: Path) -> None:
    one = pictures()
    assert works(one, source)
    kill(one)
    assert works(one, source)


def kill(one: Processor) -> None:
    assert one.child_pid
    os.kill(one.child_pid, signal.SIGKILL)
    os.waitid(os.P_PID, one.child_pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize(
    ("died_of", "expected"),
    [(signal.SIGKILL, ProcessingError), (signal.SIGTERM, ProcessingError), (signal.SIGSEGV, BadPicture)],
)
def test_child_killed_during_a_picture(
    died_of: signal.Signals,
    expected: type[Exception],
    pictures: Callable[..., Processor],
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From outside it is nobody's fault; of a crash the picture's."""
    one = pictures()
    assert works(one, source)
    pid = one.child_pid
    assert pid
    read_line = processor._Child._read_line

    def dies_first(child: processor._Child, seconds: float) -> bytes:
        os.kill(pid, died_of)
        os.kill(pid, signal.SIGCONT)
        return read_line(child, seconds)

    os.kill(pid, signal.SIGSTOP)  # so that it cannot be done before it dies
    with monkeypatch.context() as patch:
        patch.setattr(processor._Child, "_read_line", dies_first)
        with pytest.raises(expected):
            one.process(source, source.parent)
    assert works(one, source)


def test_hanging_child_is_killed(pictures: Callable[..., Processor], source: Path) -> None:
    one = pictures()
    assert works(one, source)
    pid = one.child_pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    one._limits = Limits(wall_seconds=0.1)
    with pytest.raises(ProcessingError, match=r"longer than 0\.1 s"):
        one.process(source, source.parent)
    assert not psutil.pid_exists(pid)


def test_picture_that_exceeds_the_memory_limit(pictures: Callable[..., Processor], tmp_path: Path) -> None:
    one = pictures(memory=256 * 2**20)
    (tmp_path / "large").write_bytes(png(7_000, 7_000, pixels=zlib.compress(bytes(7_000 * 21_001), 1)))
    with pytest.raises(BadPicture) as raised:
        one.process(tmp_path / "large", tmp_path)
    assert raised.value.reason is Reason.TOO_MUCH_MEMORY
    (tmp_path / "small").write_bytes(encode(four_colours()))
    assert works(one, tmp_path / "small")


BEHAVIOURS = {
    "burns": ("from media.processing.child.sandbox import limit_cpu; limit_cpu(0)\nwhile True: pass", Reason.TOO_SLOW),
    "crashes": ("os.kill(os.getpid(), signal.SIGSEGV)", Reason.DAMAGED),
    "aborts": ("os.abort()", Reason.DAMAGED),
    "ends": ("pass", None),
    "fails": ("sys.exit(3)", None),
    "closes": ("os.close(1); signal.pause()", None),
    "babbles": ("print('rubbish', flush=True); signal.pause()", None),
    "lists": ("print([1], flush=True); signal.pause()", None),
    "says too little": ("print('{}', flush=True); signal.pause()", None),
    "says too much": ("print('x' * 100_000, flush=True); signal.pause()", None),
    "nests": ("print('[' * 16_000, flush=True); signal.pause()", None),
    "says it twice": ('os.write(1, b\'{"refused": "damaged"}\\n\' * 2); signal.pause()', None),
    "knows other reasons": ("print(json.dumps({'refused': 'no reason'}), flush=True); signal.pause()", None),
    "says half": ("os.write(1, b'{\"picture\": '); os._exit(0)", None),
}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_misbehaving_child_is_replaced(
    behaviour: str, pictures: Callable[..., Processor], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, reason = BEHAVIOURS[behaviour]
    one = pictures(wall_seconds=10)
    with monkeypatch.context() as patch:
        patch.setattr(processor, "_command", lambda _: [sys.executable, "-c", READY + code])
        with pytest.raises(BadPicture if reason else ProcessingError) as raised:
            one.process(source, source.parent)
    assert one.child_pid is None
    if isinstance(raised.value, BadPicture):
        assert raised.value.reason is reason
    assert works(one, source)


@pytest.mark.parametrize("command", [["/nonexistent"], [sys.executable, "-c", "raise SystemExit(1)"]])
def test_child_that_cannot_start_is_a_processing_error(
    command: list[str], pictures: Callable[..., Processor], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pictures()
    with monkeypatch.context() as patch:
        patch.setattr(processor, "_command", lambda _: command)
        with pytest.raises(ProcessingError):
            one.process(source, source.parent)
    assert works(one, source)


def test_interrupted_caller_never_gets_another_pictures_answer(
    pictures: Callable[..., Processor], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a task's time limit, which raises wherever the worker is."""
    one = pictures()
    assert works(one, source)
    with monkeypatch.context() as patch:
        patch.setattr(processor._Child, "_read_line", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            one.process(source, source.parent)
    assert one.child_pid is None
    other = source.with_name("other")
    other.write_bytes(encode(four_colours(50, 40)))
    assert one.process(other, source.parent).width == 50


def test_output_of_libraries_is_no_answer() -> None:
    code = "import os; from media.processing.child.job_loop import take_over_stdout as take; answers = take()"
    code += "; print('noise', flush=True); os.system('echo more'); os.write(2, b'complaint'); answers.write(b'answer')"
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=30)
    assert (finished.stdout, finished.stderr) == (b"answer", b"")


def test_threads_take_turns(shared: Processor, tmp_path: Path) -> None:
    def one(width: int) -> bool:
        directory = tmp_path / str(width)
        directory.mkdir()
        (directory / "source").write_bytes(encode(four_colours(width, 40)))
        return shared.process(directory / "source", directory).width == width

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(one, range(41, 53)))


def test_forked_process_starts_its_own_child(shared: Processor, source: Path) -> None:
    assert works(shared, source)
    ours = shared.child_pid
    forked = os.fork()
    if not forked:
        status = 1
        try:
            status = 0 if shared.child_pid is None and works(shared, source) and shared.child_pid != ours else 2
        finally:
            shared.close()
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
    assert shared.child_pid == ours
    assert works(shared, source)
    assert shared.child_pid == ours


def test_forked_process_does_not_inherit_a_held_lock(pictures: Callable[..., Processor]) -> None:
    one = pictures()
    with one._lock:
        forked = os.fork()
        if not forked:
            os._exit(0 if one._lock.acquire(timeout=1) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0


def test_stopped_child_dies_with_its_parent(source: Path) -> None:
    code = "import sys, time; from pathlib import Path; from media.processing import Processor; p = Processor(); "
    code += "p.process(Path(sys.argv[1]), Path(sys.argv[2])); print(p.child_pid, flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, str(source), str(source.parent)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        parent.kill()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_parent_does_not_load_pillow_nor_child_django() -> None:
    for module, absent in (("media.processing", "PIL"), ("media.processing.child.job_loop", "django")):
        code = (
            f"import sys, {module}; sys.exit(any(name.split('.')[0] in ('django', {absent!r}) for name in sys.modules))"
        )
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=30).returncode == 0
