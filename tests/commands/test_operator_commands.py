"""What every operator's command owes, whatever it does: one table holds all of them to it."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.db import connection

from accounts.models import CelebrityState, User
from feeds import backfill as rebuild
from feeds import celebrity_policy, celebrity_transitions, consistency
from feeds.models import FanOut, State
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client as cache
from instafeed.core.jobs import enqueue
from instafeed.core.management import base
from instafeed.demo import pictures
from instafeed.demo.loader import Loader
from instafeed.devstack.state import PROJECT_ROOT
from posts import counter_repair
from posts.models import Post
from social import follow_import
from tests.accounts.populated_account import assert_counts_are_exact
from tests.commands import scenarios
from tests.commands.scenarios import Snapshot, take_snapshot
from tests.live_stack import clean_environment

pytestmark = pytest.mark.django_db(transaction=True)

OURS = {"instafeed", "accounts", "social", "media", "posts", "feeds"}


def seeded() -> None:
    assert (User.objects.count(), Post.objects.count()) == (30, 20)
    assert_counts_are_exact()


def imported() -> None:
    assert {(f"u{number}", "u9") for number in range(1, 5)} | {("u9", "u1")} <= scenarios.follows()
    assert_counts_are_exact()
    assert User.objects.get(username="u9").celebrity_state == CelebrityState.CELEBRITY


def warm() -> None:
    assert cache().exists(*(keys.home_timeline(user) for user in User.objects.values_list("pk", flat=True))) == 4


def placed() -> None:
    assert_counts_are_exact()
    famous = User.objects.filter(follower_count__gte=scenarios.CELEBRITY_THRESHOLD)
    assert {user.celebrity_state for user in famous} == {CelebrityState.CELEBRITY}
    assert (famous.count(), User.objects.exclude(celebrity_state=CelebrityState.ORDINARY).count()) == (2, 2)
    assert not celebrity_policy.authors_to_promote().exists()


def verified() -> None:
    warm_users = consistency.cached_user_ids(keys.HOME_TIMELINE_PREFIX)
    assert [drift for user in warm_users if (drift := consistency.check_home_feed(user))] == []
    assert consistency.check_celebrity_set() is None


def counted() -> None:
    assert_counts_are_exact()


def dispatched() -> None:
    assert set(FanOut.objects.values_list("state", flat=True)) == {State.PENDING}
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as broker:
        waiting = b"".join(broker.lrange("fan_out", 0, -1))
    assert all(str(post).encode() in waiting for post in Post.objects.values_list("pk", flat=True))


@dataclass(frozen=True)
class Case:
    """A command: how it is called, in which world, what it makes right, and in what it is interrupted."""

    name: str
    arguments: tuple[str, ...]  # EDGES stands for a file, and FOLDER for a folder that is not there
    world: Callable[[Path], None]
    right: Callable[[], None]
    work: tuple[Any, str]  # a function of the work itself, as (owner, name)
    call: int = 2  # the one that is interrupted; the first is over by then
    dry_status: int = 0  # 1: what it looks for are mistakes, and it leaves them
    bad: tuple[tuple[str, ...], ...] = ()


SEED = ("--users=30", "--follows=90", "--posts=20", "--celebrities=2")
CASES = [
    Case(
        "seed_demo",
        SEED,
        scenarios.empty_site,
        seeded,
        (Loader, "load_hashtags"),
        call=1,
        bad=(("--users=2",), ("--follows=999999999",), ("--photos", "FOLDER"), (*SEED, "--celebrities=30"), ("more",)),
    ),
    Case(
        "import_follows",
        ("EDGES",),
        scenarios.follow_file,
        imported,
        (follow_import, "apply"),
        call=1,
        bad=((), ("FOLDER",), ("EDGES", "--delimiter=1"), ("EDGES", "--delimiter=,"), ("EDGES", "EDGES")),
    ),
    Case(
        "backfill_feeds",
        ("--all",),
        scenarios.cold_feeds,
        warm,
        (rebuild, "warm_feed"),
        bad=((), ("--user=nobody",), ("--all", "--user=u"), ("--active-since=soon",), ("--all", "--after=-1")),
    ),
    Case(
        "reclassify_celebrities",
        ("--rate=100000",),
        scenarios.wrong_celebrity_states,
        placed,
        (celebrity_transitions, "_drop_feeds_of_followers"),
        bad=(("--threshold=0",), ("--threshold=many",)),
    ),
    Case(
        "verify_feeds",
        ("--repair", "--rate=100000"),
        scenarios.inconsistent_feeds,
        verified,
        (consistency, "check_feed"),
        dry_status=1,
        bad=(("--sample=0",), ("--repair=yes",), ("--after=x",)),
    ),
    Case(
        "reconcile_counters",
        (),
        scenarios.wrong_counts,
        counted,
        (counter_repair, "lock_recount"),
        dry_status=1,
        bad=(("everything",),),
    ),
    Case(
        "resume_fan_outs",
        (),
        scenarios.undelivered_posts,
        dispatched,
        (enqueue, "nudge"),
        bad=(("12",),),
    ),
]
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
ALWAYS_BAD = (("--rate=0",), ("--rate=fast",), ("--unheard-of",))


@pytest.fixture(autouse=True)
def _small_and_own(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(pictures, "DRAWN_PICTURES", 1)
    monkeypatch.setattr(pictures, "AVATAR_PICTURES", 1)
    settings.MEDIA_ROOT = str(tmp_path / "media")
    settings.CELEBRITY_THRESHOLD = scenarios.CELEBRITY_THRESHOLD


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command as manage.py does; its exit status and what it wrote, to stdout and to stderr."""

    def run(case: Case, *more: str, arguments: tuple[str, ...] | None = None) -> tuple[int, str, str]:
        places = {"EDGES": str(tmp_path / "edges.tsv"), "FOLDER": str(tmp_path / "none")}
        given = (*(case.arguments if arguments is None else arguments), *more)
        command = load_command_class(get_commands()[case.name], case.name)
        capsys.readouterr()
        status = 0
        try:
            command.run_from_argv(["manage.py", case.name, *(places.get(word, word) for word in given)])
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *capsys.readouterr()

    return run


def test_the_table_has_every_command() -> None:
    ours = [name for name, app in get_commands().items() if app.partition(".")[0] in OURS]
    made = {name: load_command_class(get_commands()[name], name) for name in ours}
    held = [name for name, command in made.items() if isinstance(command, base.OperatorCommand)]
    assert sorted(held) == sorted(case.name for case in CASES)


@EVERY
def test_a_dry_run_changes_nothing_where_a_real_one_does(case: Case, run: Run, tmp_path: Path) -> None:
    case.world(tmp_path)
    before = take_snapshot()
    status, out, err = run(case, "--dry-run")
    assert differing(before, take_snapshot()) == []
    assert status == case.dry_status, err
    assert "Dry run: " in out if status == 0 else one_line(err)
    assert run(case)[0] == 0
    assert differing(before, take_snapshot()) != []
    case.right()


def differing(one: Snapshot, other: Snapshot) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


@EVERY
def test_bad_arguments_are_one_line_and_change_nothing(case: Case, run: Run, tmp_path: Path) -> None:
    case.world(tmp_path)
    before = take_snapshot()
    for bad in (*case.bad, *(case.arguments + always for always in ALWAYS_BAD)):
        status, _, err = run(case, arguments=bad)
        assert status in (1, 2), bad
        assert one_line(err) or case.name == "import_follows", (bad, err)
        assert err.splitlines()[-1].startswith(("CommandError: ", f"{case.name}: ")), (bad, err)
    assert differing(before, take_snapshot()) == []


def one_line(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text


@EVERY
def test_one_that_was_interrupted_is_completed_by_the_next(
    case: Case, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.world(tmp_path)
    (owner, name), calls = case.work, []
    work = getattr(owner, name)

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        result = work(*arguments, **options)
        if len(calls) == case.call:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted)
        status, _, err = run(case)
    assert (status, one_line(err)) == (130, True), err
    with pytest.raises(AssertionError):
        case.right()
    goes_on = re.findall(r"--after \d+", err)
    assert goes_on or "run again to resume" in err
    status, _, err = run(case, *" ".join(goes_on).split())
    assert (status, err) == (0, "")
    case.right()


@EVERY
def test_it_says_what_it_will_do_how_far_it_is_and_what_it_did_in_plain_lines(
    case: Case, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "PROGRESS_INTERVAL", 0)
    case.world(tmp_path)
    status, out, err = run(case)
    assert (status, err) == (0, "")
    first, *between, last = out.splitlines()
    assert re.match(r"[A-Z][a-z]+ing ", first), first
    assert any(re.fullmatch(r"[a-z' ]+: [\d,]+( of [\d,]+)?, [\d,]+/s", line) for line in between), between
    assert re.match(r"[A-Z].*\.$", last), last
    assert not re.search(r"[\r\x1b]", out)


@EVERY
def test_quietly_it_says_what_it_did(case: Case, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--verbosity 0 keeps progress off a log."""
    monkeypatch.setattr(base, "PROGRESS_INTERVAL", 0)
    case.world(tmp_path)
    _, out, _ = run(case, "--verbosity=0")
    assert "/s\n" not in out


@pytest.mark.parametrize("terminal", [False, True])
def test_ctrl_c_ends_a_real_process_which_the_next_completes(terminal: bool, tmp_path: Path) -> None:
    """In a pipe, too, every line is there as soon as it is written: else the first would not come before the end."""
    scenarios.cold_feeds(tmp_path)
    ours, theirs = pty.openpty() if terminal else os.pipe()
    if terminal:
        termios.tcsetwinsize(theirs, (24, 80))
    with closing(os.fdopen(ours, "rb", buffering=0)) as output:
        process = start_backfill(theirs, "--rate=1")
        seen = read_until(output.fileno(), b"2 of 4" if terminal else b"Rebuilding the feeds of 4 users.")
        time.sleep(0.5)  # in the middle of it
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130, seen
        seen += read_until(output.fileno(), b"--after ")
    assert (b"\r" in seen.replace(b"\r\n", b"")) == terminal
    assert b"Traceback" not in seen
    with pytest.raises(AssertionError):
        warm()
    after = seen.rpartition(b"--after ")[2].split()[0].decode()
    process = start_backfill(subprocess.DEVNULL, f"--after={after}")
    assert process.wait(30) == 0
    warm()


def start_backfill(output: int, *arguments: str) -> subprocess.Popen[bytes]:
    """The command in a process of its own, on this test's database; takes `output` over."""
    url = re.sub(r"(://[^/]*/)[^?]*", rf"\g<1>{connection.settings_dict['NAME']}", os.environ["DATABASE_URL"], count=1)
    services = {name: os.environ[name] for name in ("REDIS_URL", "CELERY_BROKER_URL", "SECRET_KEY")}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "backfill_feeds", "--all", *arguments],
        cwd=PROJECT_ROOT,
        env=clean_environment(**services, DATABASE_URL=url, DATABASE_REPLICA_URLS="", PYTHONUNBUFFERED=""),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    if output >= 0:
        os.close(output)
    return process


def read_until(output: int, wanted: bytes, seconds: float = 40) -> bytes:
    seen, deadline = b"", time.monotonic() + seconds
    while wanted not in seen:
        assert time.monotonic() < deadline, seen
        part = os.read(output, 4096)
        assert part, seen
        seen += part
    return seen
