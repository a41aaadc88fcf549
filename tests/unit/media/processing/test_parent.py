"""The parent's side: a child that dies, hangs or misbehaves gives the right error, and the next picture works."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn, Protocol

import psutil
import pytest

from media.processing import SIZES, BadPicture, Limits, Options, ProcessingError, Processor, Reason, parent
from tests.support.eventually import eventually
from tests.unit.media.processing.samples import encode, four_colours, png

ROOT = Path(parent.__file__).parents[2]
READY = "import sys, os, signal, json; print('{}', flush=True); sys.stdin.readline(); "


class ProcessorFactory(Protocol):
    def __call__(self, limits: Limits | None = None) -> Processor: ...


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "upload.txt"  # the file name is ignored
    path.write_bytes(encode(four_colours()))
    return path


@pytest.fixture(scope="module")
def shared_processor() -> Iterator[Processor]:
    """A processor for tests that leave its child alive."""
    processor = Processor()
    yield processor
    processor.close()


@pytest.fixture
def make_processor() -> Iterator[ProcessorFactory]:
    made: list[Processor] = []

    def make(limits: Limits | None = None) -> Processor:
        made.append(Processor(limits or Limits()))
        return made[-1]

    yield make
    for processor in made:
        processor.close()


class TimeLimit(BaseException):
    """Like the one of Celery's tasks: code that catches Exception does not stop it."""


def can_process(processor: Processor, source: Path) -> bool:
    return processor.process(source, source.parent).width == 96


def test_all_named_files_are_written(shared_processor: Processor, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "variants"
    target.mkdir()
    picture = shared_processor.process(source, target, Options(jpeg=True))
    assert [variant.size for variant in picture.variants] == [*SIZES, *SIZES]
    assert {path.name for path in target.iterdir()} == {variant.filename for variant in picture.variants}
    assert all((target / variant.filename).stat().st_size == variant.bytes for variant in picture.variants)


def test_relative_paths_are_resolved_by_the_caller(
    shared_processor: Processor, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    assert shared_processor.process(Path(source.name), Path()).height == 64


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
    shared_processor: Processor, tmp_path: Path, content: bytes, reason: Reason
) -> None:
    (tmp_path / "source").write_bytes(content)
    with pytest.raises(BadPicture) as raised:
        shared_processor.process(tmp_path / "source", tmp_path)
    assert raised.value.reason is reason
    assert str(raised.value) == reason.text
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_other_failures_are_processing_errors(shared_processor: Processor, source: Path, tmp_path: Path) -> None:
    with pytest.raises(ProcessingError, match="FileNotFoundError"):
        shared_processor.process(tmp_path / "gone", tmp_path)
    with pytest.raises(ProcessingError, match="FileNotFoundError"):
        shared_processor.process(source, tmp_path / "gone")
    with pytest.raises(ProcessingError, match="IsADirectoryError"):
        shared_processor.process(tmp_path, tmp_path)
    assert can_process(shared_processor, source)


def test_full_disk_is_not_the_pictures_fault(
    shared_processor: Processor, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ProcessingError, match="No space left on device"):
        shared_processor.process(source, source.parent)


def test_child_is_replaced_after_its_number_of_pictures(make_processor: ProcessorFactory, source: Path) -> None:
    processor = make_processor(Limits(max_pictures=3))
    pids = []
    for _ in range(4):
        assert can_process(processor, source)
        pids.append(processor.child_pid)
    assert pids[0] == pids[1] is not None
    assert pids[2] is None
    assert pids[3] not in (None, pids[0])


def test_child_has_an_empty_environment_and_limits(
    make_processor: ProcessorFactory, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "secret")
    processor = make_processor()
    assert can_process(processor, source)
    assert processor.child_pid
    child = psutil.Process(processor.child_pid)
    assert child.environ() == {}
    assert os.getsid(child.pid) == child.pid
    assert child.rlimit(psutil.RLIMIT_AS)[0] == Limits().memory
    assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert 0 < child.rlimit(psutil.RLIMIT_CPU)[0] < 60
    assert child.rlimit(psutil.RLIMIT_FSIZE)[0] < 2**30
    assert not [connection for connection in child.net_connections() if connection.status != psutil.CONN_NONE]


def test_child_killed_between_pictures_is_replaced(make_processor: ProcessorFactory, source: Path) -> None:
    processor = make_processor()
    assert can_process(processor, source)
    kill(processor)
    assert can_process(processor, source)


def has_unread_job(pid: int) -> bool:
    """Return whether a job waits in the standard input of a child that is stopped."""
    with open(f"/proc/{pid}/fd/0", "rb", buffering=0) as pipe:
        return bool(select.select([pipe], [], [], 0)[0])


def stop_child(processor: Processor) -> int:
    """Stop the child and return its id. It takes the next job when it is continued."""
    assert processor.child_pid
    child = psutil.Process(processor.child_pid)
    child.suspend()
    # A child that has not noticed the signal yet would still read the job.
    eventually(lambda: child.status() == psutil.STATUS_STOPPED)
    return child.pid


def kill(processor: Processor) -> None:
    assert processor.child_pid
    os.kill(processor.child_pid, signal.SIGKILL)
    os.waitid(os.P_PID, processor.child_pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize(
    ("signal_number", "expected"),
    [(signal.SIGKILL, ProcessingError), (signal.SIGTERM, ProcessingError), (signal.SIGSEGV, BadPicture)],
)
def test_child_killed_during_a_picture(
    signal_number: signal.Signals, expected: type[Exception], make_processor: ProcessorFactory, source: Path
) -> None:
    """A signal from outside is a processing error; a crash means that the picture is bad."""
    processor = make_processor()
    assert can_process(processor, source)
    pid = stop_child(processor)  # so that it cannot finish before it dies
    with ThreadPoolExecutor(1) as threads:
        result = threads.submit(processor.process, source, source.parent)
        eventually(lambda: has_unread_job(pid))
        os.kill(pid, signal_number)
        os.kill(pid, signal.SIGCONT)
        with pytest.raises(expected):
            result.result()
    assert can_process(processor, source)


def test_hanging_child_is_killed(
    make_processor: ProcessorFactory, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = make_processor(Limits(wall_seconds=0.1))
    # Before it is ready, as it is killed a moment after its first job.
    note_pid = f"import os; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); "
    code = note_pid + READY + "os.kill(os.getpid(), signal.SIGSTOP)"
    monkeypatch.setattr(parent, "child_command", lambda _: [sys.executable, "-c", code])
    with pytest.raises(ProcessingError, match=r"longer than 0\.1 s"):
        processor.process(source, source.parent)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_picture_that_exceeds_the_memory_limit(make_processor: ProcessorFactory, tmp_path: Path) -> None:
    processor = make_processor(Limits(memory=256 * 2**20))
    (tmp_path / "large").write_bytes(png(7_000, 7_000, pixels=zlib.compress(bytes(7_000 * 21_001), 1)))
    with pytest.raises(BadPicture) as raised:
        processor.process(tmp_path / "large", tmp_path)
    assert raised.value.reason is Reason.TOO_MUCH_MEMORY
    (tmp_path / "small").write_bytes(encode(four_colours()))
    assert can_process(processor, tmp_path / "small")


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
    behaviour: str, make_processor: ProcessorFactory, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, reason = BEHAVIOURS[behaviour]
    processor = make_processor()
    with monkeypatch.context() as patch:
        patch.setattr(parent, "child_command", lambda _: [sys.executable, "-c", READY + code])
        with pytest.raises(BadPicture if reason else ProcessingError) as raised:
            processor.process(source, source.parent)
    assert processor.child_pid is None
    if isinstance(raised.value, BadPicture):
        assert raised.value.reason is reason
    assert can_process(processor, source)


@pytest.mark.parametrize("command", [["/nonexistent"], [sys.executable, "-c", "raise SystemExit(1)"]])
def test_child_that_cannot_start_is_a_processing_error(
    command: list[str], make_processor: ProcessorFactory, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = make_processor()
    with monkeypatch.context() as patch:
        patch.setattr(parent, "child_command", lambda _: command)
        with pytest.raises(ProcessingError):
            processor.process(source, source.parent)
    assert can_process(processor, source)


def test_interrupted_caller_never_gets_another_pictures_answer(make_processor: ProcessorFactory, source: Path) -> None:
    """A task's time limit is an exception that a signal raises at any point of the code."""
    processor = make_processor()
    assert can_process(processor, source)
    pid = stop_child(processor)

    def time_limit(*_: object) -> NoReturn:
        raise TimeLimit

    def send_signal() -> None:
        eventually(lambda: has_unread_job(pid))
        os.kill(os.getpid(), signal.SIGUSR1)

    previous = signal.signal(signal.SIGUSR1, time_limit)
    try:
        with ThreadPoolExecutor(1) as threads:
            threads.submit(send_signal)
            with pytest.raises(TimeLimit):
                processor.process(source, source.parent)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert processor.child_pid is None
    other = source.with_name("other")
    other.write_bytes(encode(four_colours(50, 40)))
    assert processor.process(other, source.parent).width == 50


def test_output_of_libraries_is_no_answer() -> None:
    code = "import os; from media.processing.child.job_loop import take_over_stdout as take; answers = take()"
    code += "; print('noise', flush=True); os.system('echo more'); os.write(2, b'complaint'); answers.write(b'answer')"
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=100)
    assert (finished.stdout, finished.stderr) == (b"answer", b"")


def test_threads_take_turns(shared_processor: Processor, source: Path, tmp_path: Path) -> None:
    # The kernel kills a child when the thread that started it ends, and the fixture's child must live on.
    assert can_process(shared_processor, source)

    def process_one(width: int) -> bool:
        directory = tmp_path / str(width)
        directory.mkdir()
        (directory / "source").write_bytes(encode(four_colours(width, 40)))
        return shared_processor.process(directory / "source", directory).width == width

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(process_one, range(41, 53)))


def test_forked_process_starts_its_own_child(shared_processor: Processor, source: Path) -> None:
    assert can_process(shared_processor, source)
    own_pid = shared_processor.child_pid
    forked = os.fork()
    if not forked:
        status = 1
        try:
            forgotten = shared_processor.child_pid is None
            status = 0 if forgotten and can_process(shared_processor, source) else 2
            if shared_processor.child_pid == own_pid:
                status = 2
        finally:
            shared_processor.close()
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
    assert shared_processor.child_pid == own_pid
    assert can_process(shared_processor, source)
    assert shared_processor.child_pid == own_pid


def test_forked_process_does_not_inherit_a_held_lock(make_processor: ProcessorFactory, source: Path) -> None:
    processor = make_processor()
    assert can_process(processor, source)
    pid = stop_child(processor)
    with ThreadPoolExecutor(1) as threads:
        waits = threads.submit(can_process, processor, source)
        eventually(lambda: has_unread_job(pid))
        forked = os.fork()
        if not forked:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # not pytest-timeout's
            signal.alarm(60)  # ends this process if it waits for the lock
            processor.close()
            os._exit(0)
        status = os.waitpid(forked, 0)[1]
        os.kill(pid, signal.SIGCONT)
        assert waits.result()
    assert os.waitstatus_to_exitcode(status) == 0


def test_stopped_child_dies_with_its_parent(source: Path) -> None:
    code = "import sys; from pathlib import Path; from media.processing import Processor; p = Processor(); "
    code += "p.process(Path(sys.argv[1]), Path(sys.argv[2])); print(p.child_pid, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(source), str(source.parent)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        process.kill()
    eventually(lambda: has_ended(pid))


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_parent_does_not_load_pillow_nor_child_django() -> None:
    for module, absent in (("media.processing", "PIL"), ("media.processing.child.job_loop", "django")):
        code = (
            f"import sys, {module}; sys.exit(any(name.split('.')[0] in ('django', {absent!r}) for name in sys.modules))"
        )
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=100).returncode == 0
