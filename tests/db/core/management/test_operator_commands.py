"""Rules that every operator command follows: dry run, one-line errors, resuming, progress output."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.db import connections
from django.utils import timezone
from pytest_django import Settings

from accounts import audit, operator_actions, second_factor, services, sessions
from accounts.management.commands import reencrypt_secrets
from accounts.models import AuditEntry, CelebrityState, Invite, SecondFactor, Session, User
from feeds import backfill, celebrity_policy, celebrity_transitions, consistency, fanout_outbox
from feeds.models import FanOut
from instafeed.core import encryption
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client as cache
from instafeed.core.jobs.leased import JobState
from instafeed.core.management import base
from instafeed.demo import pictures
from instafeed.demo.loader import Loader
from instafeed.devstack.state import PROJECT_ROOT
from posts import counter_repair
from posts.models import Post
from social import follow_import
from tests.db.core.management import scenarios
from tests.db.core.management.scenarios import Snapshot, take_snapshot
from tests.support.populated_account import assert_counts_are_exact

pytestmark = pytest.mark.django_db

PROJECT_APPS = {"instafeed", "accounts", "social", "media", "exports", "posts", "feeds"}


def assert_seeded() -> None:
    assert (User.objects.count(), Post.objects.count()) == (30, 20)
    assert_counts_are_exact()


def assert_imported() -> None:
    assert {(f"u{number}", "u9") for number in range(1, 5)} | {("u9", "u1")} <= scenarios.follows()
    assert_counts_are_exact()
    assert User.objects.get(username="u9").celebrity_state == CelebrityState.CELEBRITY


def assert_feeds_cached() -> None:
    assert cache().exists(*(keys.home_timeline(user) for user in User.objects.values_list("pk", flat=True))) == 4


def assert_celebrities_reclassified() -> None:
    assert_counts_are_exact()
    celebrities = User.objects.filter(follower_count__gte=scenarios.CELEBRITY_THRESHOLD)
    assert {user.celebrity_state for user in celebrities} == {CelebrityState.CELEBRITY}
    assert (celebrities.count(), User.objects.exclude(celebrity_state=CelebrityState.ORDINARY).count()) == (2, 2)
    assert not celebrity_policy.authors_to_promote().exists()


def assert_feeds_consistent() -> None:
    user_ids = consistency.cached_user_ids(keys.HOME_TIMELINE_PREFIX)
    assert [found for user_id in user_ids if (found := consistency.check_home_timeline(user_id))] == []
    assert consistency.check_celebrity_set() is None


def assert_counts_exact() -> None:
    assert_counts_are_exact()


def assert_fan_outs_resumed() -> None:
    """A worker can claim all of them now, and has been told to."""
    assert set(FanOut.objects.values_list("state", flat=True)) == {JobState.PENDING}
    assert not FanOut.objects.filter(due_at__gt=timezone.now()).exists()
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as broker:
        assert broker.llen("fan_out") == 1


def assert_secrets_encrypted() -> None:
    assert SecondFactor.objects.count() == 2
    assert set(SecondFactor.objects.values_list("key_id", flat=True)) == {encryption.get_key_id()}


def assert_admin_created() -> None:
    user = User.objects.filter(username="grace").first()
    assert user is not None
    assert user.is_superuser
    assert user.check_password(scenarios.NEW_PASSWORD)
    assert_audited("create_admin")


def assert_password_reset() -> None:
    assert User.objects.get(username="alice").check_password(scenarios.NEW_PASSWORD)
    assert not Session.objects.filter(ended_at=None).exists()
    assert_audited("reset_password")


def assert_suspended() -> None:
    user = User.objects.get(username="alice")
    assert not user.is_active
    assert user.suspended_until is not None
    assert_audited("suspend")


def assert_reinstated() -> None:
    assert User.objects.get(username="alice").is_active
    assert_audited("lift")


def assert_invite_created() -> None:
    invite = Invite.objects.first()
    assert invite is not None
    assert (invite.max_uses, invite.note, invite.created_by) == (3, "for the club", None)
    assert invite.expires_at is not None
    assert_audited("create_invite")


def assert_email_confirmed() -> None:
    assert User.objects.get(username="alice").email_verified
    assert not User.objects.get(username="carol").email_verified
    assert_audited("confirm_email")


def assert_otp_removed() -> None:
    assert not SecondFactor.objects.exists()
    assert not Session.objects.filter(ended_at=None).exists()
    assert_audited("remove_otp")


def assert_audited(action: str) -> None:
    """The newest entry is the action, by the shell and not by a member of staff."""
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.actor_id, entry.actor_name) == (action, 0, operator_actions.SHELL.username)


@dataclass(frozen=True)
class Case:
    """A command: its arguments, its scenario, the assertion that its work is done, and where to interrupt it."""

    name: str
    arguments: tuple[str, ...]  # FILE stands for a file of follows, and FOLDER for a folder that does not exist
    set_up: Callable[[Path], None]
    assert_done: Callable[[], None]
    step: tuple[Any, str]  # a function that does part of the work, as (owner, name)
    interrupted_call: int = 2  # the call of `step` after which the command is interrupted; work must be left then
    dry_run_status: int = 0  # 1 for commands that report errors and leave them in a dry run
    bad_arguments: tuple[tuple[str, ...], ...] = ()
    stdin: str = ""
    has_progress: bool = True  # False for commands that do one thing


SEED = ("--users=30", "--follows=90", "--posts=20", "--celebrities=2")
CASES = [
    Case(
        "seed_demo",
        SEED,
        scenarios.empty_site,
        assert_seeded,
        (Loader, "load_hashtags"),
        interrupted_call=1,
        bad_arguments=(
            ("--users=2",),
            ("--follows=999999999",),
            ("--photos", "FOLDER"),
            (*SEED, "--celebrities=30"),
            ("more",),
        ),
    ),
    Case(
        "import_follows",
        ("FILE",),
        scenarios.follow_file,
        assert_imported,
        (follow_import, "apply"),
        interrupted_call=1,
        bad_arguments=((), ("FOLDER",), ("FILE", "--delimiter=1"), ("FILE", "--delimiter=,"), ("FILE", "FILE")),
    ),
    Case(
        "backfill_feeds",
        ("--all",),
        scenarios.cold_feeds,
        assert_feeds_cached,
        (backfill, "rebuild_home_timeline"),
        bad_arguments=(
            (),
            ("--user=nobody",),
            ("--all", "--user=u"),
            ("--active-since=soon",),
            ("--all", "--after=-1"),
        ),
    ),
    Case(
        "reclassify_celebrities",
        ("--rate=100000",),
        scenarios.wrong_celebrity_states,
        assert_celebrities_reclassified,
        (celebrity_transitions, "evict_follower_timelines"),
        bad_arguments=(("--threshold=0",), ("--threshold=many",)),
    ),
    Case(
        "verify_feeds",
        ("--repair", "--rate=100000"),
        scenarios.inconsistent_feeds,
        assert_feeds_consistent,
        (consistency, "check_home_timeline"),
        dry_run_status=1,
        bad_arguments=(("--sample=0",), ("--repair=yes",), ("--after=x",)),
    ),
    Case(
        "reconcile_counters",
        (),
        scenarios.wrong_counts,
        assert_counts_exact,
        (counter_repair, "lock_count_repair"),
        dry_run_status=1,
        bad_arguments=(("everything",),),
    ),
    Case(
        "resume_fan_outs",
        (),
        scenarios.undelivered_posts,
        assert_fan_outs_resumed,
        (fanout_outbox.queue, "requeue_dead_letters"),
        interrupted_call=1,
        bad_arguments=(("12",),),
    ),
    Case(
        "reencrypt_secrets",
        (),
        scenarios.secrets_of_a_former_key,
        assert_secrets_encrypted,
        (second_factor, "encrypt_again"),
        interrupted_call=1,
        bad_arguments=(("all",),),
    ),
    Case(
        "create_user",
        ("Grace", "--email=grace@mail.example", "--admin"),
        scenarios.empty_site,
        assert_admin_created,
        (services, "register"),
        interrupted_call=1,
        bad_arguments=(
            (),
            ("no spaces",),
            ("x",),
            ("relationships",),
            ("grace", "--email=nowhere"),
            ("grace", "--password=secret"),
        ),
        stdin=f"{scenarios.NEW_PASSWORD}\n",
        has_progress=False,
    ),
    Case(
        "reset_password",
        ("ALICE", "--ask"),
        scenarios.signed_in_user,
        assert_password_reset,
        (sessions, "end_all"),
        interrupted_call=1,
        bad_arguments=((), ("missing",), ("alice", "another", "--ask")),
        stdin=f"{scenarios.NEW_PASSWORD}\n",
        has_progress=False,
    ),
    Case(
        "suspend_user",
        ("alice", "--reason=spam", "--days=7"),
        scenarios.signed_in_user,
        assert_suspended,
        (services, "suspend"),
        interrupted_call=1,
        bad_arguments=(
            ("alice",),
            ("alice", "--reason= "),
            ("missing", "--reason=x"),
            ("alice", "--reason=x", "--days=0"),
        ),
        has_progress=False,
    ),
    Case(
        "lift_suspension",
        ("alice",),
        scenarios.suspended_user,
        assert_reinstated,
        (services, "reinstate"),
        interrupted_call=1,
        bad_arguments=((), ("missing",)),
        has_progress=False,
    ),
    Case(
        "create_invite",
        ("--max-uses=3", "--days=30", "--note=for the club"),
        scenarios.empty_site,
        assert_invite_created,
        (audit, "record"),
        interrupted_call=1,
        bad_arguments=(
            ("grace",),
            ("--max-uses=0",),
            ("--max-uses=many",),
            ("--days=-1",),
            ("--days=99999",),
            ("--note", "x" * 201),
        ),
        has_progress=False,
    ),
    Case(
        "confirm_email",
        ("alice",),
        scenarios.unverified_addresses,
        assert_email_confirmed,
        (services, "update_profile"),
        interrupted_call=1,
        bad_arguments=((), ("missing",), ("bob",), ("carol",)),
        has_progress=False,
    ),
    Case(
        "remove_otp",
        ("alice",),
        scenarios.signed_in_user,
        assert_otp_removed,
        (sessions, "end_all"),
        interrupted_call=1,
        bad_arguments=((), ("missing",), ("bob",)),
        has_progress=False,
    ),
]
every_command = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
COMMON_BAD_ARGUMENTS = (("--rate=0",), ("--rate=fast",), ("--unknown",))


@pytest.fixture(autouse=True)
def _small_site(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> None:
    monkeypatch.setattr(reencrypt_secrets, "BATCH_SIZE", 1)
    monkeypatch.setattr(pictures, "DRAWN_PICTURES", 1)
    monkeypatch.setattr(pictures, "AVATAR_PICTURES", 1)
    settings.MEDIA_ROOT = str(tmp_path / "media")
    settings.CELEBRITY_THRESHOLD = scenarios.CELEBRITY_THRESHOLD


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command like manage.py and returns (exit status, stdout, stderr)."""
    monkeypatch.setattr(connections, "close_all", lambda: None)  # keeps the test's transaction open

    def run(case: Case, *more: str, arguments: tuple[str, ...] | None = None) -> tuple[int, str, str]:
        paths = {"FILE": str(tmp_path / "edges.tsv"), "FOLDER": str(tmp_path / "none")}
        given = (*(case.arguments if arguments is None else arguments), *more)
        command = load_command_class(get_commands()[case.name], case.name)
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.StringIO(case.stdin))
        status = 0
        try:
            command.run_from_argv(["manage.py", case.name, *(paths.get(word, word) for word in given)])
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *capsys.readouterr()

    return run


def test_table_covers_every_command() -> None:
    own = [name for name, app in get_commands().items() if app.split(".")[0] in PROJECT_APPS]
    commands_by_name = {name: load_command_class(get_commands()[name], name) for name in own}
    operator_commands = [
        name for name, command in commands_by_name.items() if isinstance(command, base.OperatorCommand)
    ]
    assert sorted(operator_commands) == sorted(case.name for case in CASES)


def test_readme_lists_every_command() -> None:
    listed = re.findall(
        r"^\| `(\w+)[^|]*` \|", (PROJECT_ROOT / "README.md").read_text().replace(r"\|", ""), re.MULTILINE
    )
    assert [case.name for case in CASES if case.name not in listed] == [], "add a row to README.md"


@every_command
def test_dry_run_changes_nothing(case: Case, run: Run, tmp_path: Path) -> None:
    case.set_up(tmp_path)
    before = take_snapshot()
    status, out, err = run(case, "--dry-run")
    assert changed_names(before, take_snapshot()) == []
    assert status == case.dry_run_status, err
    if status == 0:
        assert "Dry run: " in out, "the summary of a dry run begins with `Dry run: `"
    else:
        assert is_one_line(err), err
    assert run(case)[0] == 0
    assert changed_names(before, take_snapshot()) != []
    case.assert_done()


def changed_names(one: Snapshot, other: Snapshot) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


@every_command
def test_invalid_arguments_are_one_line_errors(case: Case, run: Run, tmp_path: Path) -> None:
    case.set_up(tmp_path)
    before = take_snapshot()
    for arguments in (*case.bad_arguments, *(case.arguments + bad for bad in COMMON_BAD_ARGUMENTS)):
        status, _, err = run(case, arguments=arguments)
        assert status in (1, 2), arguments
        assert is_one_line(err) or case.name == "import_follows", (arguments, err)
        assert err.splitlines()[-1].startswith(("CommandError: ", f"{case.name}: ")), (arguments, err)
    assert changed_names(before, take_snapshot()) == []


def is_one_line(text: str) -> bool:
    return text.count("\n") == 1 and text.endswith("\n") and "Traceback" not in text


@every_command
def test_interrupted_run_is_completed_by_the_next(
    case: Case, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.set_up(tmp_path)
    (owner, name), calls = case.step, []
    step = getattr(owner, name)

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        result = step(*arguments, **options)
        if len(calls) == case.interrupted_call:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted)
        status, _, err = run(case)
    assert (status, is_one_line(err)) == (130, True), err
    assert not is_done(case), "the interruption came too late: change `step`, `interrupted_call` or the scenario"
    resume_options = re.findall(r"--after \d+", err)
    assert resume_options or "run again to resume" in err
    status, _, err = run(case, *" ".join(resume_options).split())
    assert (status, err) == (0, "")
    case.assert_done()


def is_done(case: Case) -> bool:
    try:
        case.assert_done()
    except AssertionError:
        return False
    return True


@every_command
def test_output_states_plan_progress_and_result(
    case: Case, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "PROGRESS_INTERVAL", 0)
    case.set_up(tmp_path)
    status, out, err = run(case)
    assert (status, err) == (0, "")
    first, *between, last = out.splitlines()
    assert re.match(r"[A-Z][a-z]+ing ", first), f"the first line does not say what will be done (`Doing …`): {first}"
    progress = r"[a-z' ]+: [\d,]+( of [\d,]+)?, [\d,]+/s"
    has_progress = any(re.fullmatch(progress, line) for line in between)
    assert has_progress or not case.has_progress, f"no progress line with a lower-case title: {between}"
    assert re.match(r"[A-Z].*\.$", last), f"the summary is not a sentence: {last}"
    assert not re.search(r"[\r\x1b]", out)


@every_command
def test_verbosity_0_hides_progress(case: Case, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --verbosity 0 no progress line is written to a log."""
    monkeypatch.setattr(base, "PROGRESS_INTERVAL", 0)
    case.set_up(tmp_path)
    _, out, _ = run(case, "--verbosity=0")
    assert "/s\n" not in out
