"""`import_follows`: accepted and rejected files, and the resulting users, follows and counts."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone
from pytest_django import Settings

from accounts import former_usernames
from accounts.models import CelebrityState, FormerUsername, User
from instafeed.core.cache import keys
from social import follow_import
from social.models import Follow, FollowRequest
from social.services import follow
from tests.support.factories import BlockFactory, FollowFactory, FollowRequestFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Return a function that writes a file of follows and returns its path."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "edges.tsv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


File = Callable[[str | bytes], Path]


def run(path: Path, **options: Any) -> str:
    """Run the command and return its output."""
    out = StringIO()
    call_command("import_follows", str(path), stdout=out, stderr=out, **options)
    return out.getvalue()


def run_expecting_error(path: Path, status: int = 1, **options: Any) -> tuple[str, str]:
    """Run the command, expect the status, and return (the one-line error, the output before it)."""
    out = StringIO()
    with pytest.raises(CommandError) as error:
        call_command("import_follows", str(path), stdout=out, stderr=out, **options)
    assert error.value.returncode == status
    assert "\n" not in str(error.value)
    return str(error.value), out.getvalue()


def follows() -> set[tuple[str, str]]:
    return set(Follow.objects.values_list("follower__username", "followee__username"))


def counts(username: str) -> tuple[int, int]:
    user = User.objects.get(username=username)
    return user.follower_count, user.following_count


# --- Created rows ------------------------------------------------------------------------------------


def test_creates_users_follows_and_counts(file: File) -> None:
    summary = run(file("1\t2\n3\t2\n2\t1\n"))
    assert follows() == {("u1", "u2"), ("u3", "u2"), ("u2", "u1")}
    assert [counts(name) for name in ("u1", "u2", "u3")] == [(1, 1), (2, 1), (0, 1)]
    assert "Imported 3 follows and 3 users" in summary


def test_created_users_are_active_without_a_password(file: File) -> None:
    run(file("0\t7\n"))
    users = list(User.objects.order_by("username"))
    assert [user.username for user in users] == ["u0", "u7"]
    assert all(user.is_active and not user.has_usable_password() for user in users)
    assert users[0].password != users[1].password


def test_existing_account_is_used(file: File) -> None:
    existing = UserFactory(username="u2", display_name="Two")
    run(file("1\t2\n"))
    existing.refresh_from_db()
    assert (existing.display_name, existing.follower_count) == ("Two", 1)


def test_largest_id_is_accepted(file: File) -> None:
    run(file(f"1\t{2**63 - 1}\n"))
    assert follows() == {("u1", f"u{2**63 - 1}")}


def test_second_run_changes_nothing(file: File) -> None:
    path = file("1\t2\n2\t3\n")
    run(path)
    before = list(User.objects.order_by("pk").values())
    assert "Imported 0 follows and 0 users; counts changed for 0 users" in run(path)
    assert list(User.objects.order_by("pk").values()) == before


def test_repairs_wrong_counts_of_users_in_the_file(file: File) -> None:
    one, two = UserFactory(username="u1"), UserFactory(username="u2")
    FollowFactory(followee=two)
    User.objects.filter(pk__in=[one.pk, two.pk]).update(follower_count=40, following_count=50)
    run(file("1\t2\n"))
    assert (counts("u1"), counts("u2")) == ((0, 1), (2, 0))


# --- Accepted files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "# follower\tfollowee\n\n1\t2\n   \n#3\t4\n",
        "1\t2",
        "1\t2\r\n",
        "\ufeff1\t2\n",
        " 1 \t 2 \n",
        "0001\t2\n",
        "# " + "x" * 10_000 + "\n1\t2\n",
        gzip.compress(b"1\t2\n", mtime=0),
        gzip.compress(b"# one\n", mtime=0) + gzip.compress(b"1\t2\n", mtime=0),
    ],
)
def test_reads_one_follow(file: File, content: str | bytes) -> None:
    run(file(content))
    assert follows() == {("u1", "u2")}


@pytest.mark.parametrize(
    ("delimiter", "line"), [(",", "1,2"), (";", "1; 2"), (" ", "1 2"), ("\\t", "1\t2"), ("→", "1→2")]
)
def test_accepts_other_delimiters(file: File, delimiter: str, line: str) -> None:
    out = StringIO()
    call_command("import_follows", str(file(line)), f"--delimiter={delimiter}", stdout=out)
    assert follows() == {("u1", "u2")}


@pytest.mark.parametrize("delimiter", ["", "1", "-", "\n"])
def test_rejects_invalid_delimiters(file: File, delimiter: str) -> None:
    with pytest.raises(CommandError, match="delimiter"):
        call_command("import_follows", str(file("1\t2\n")), f"--delimiter={delimiter}")


def test_self_follows_and_duplicates_are_skipped_and_counted(file: File) -> None:
    printed = run(file("1\t2\n1\t2\n1\t02\n5\t5\n2\t1\n"))
    assert follows() == {("u1", "u2"), ("u2", "u1")}
    assert "2 duplicates, 1 self-follows" in printed
    assert not User.objects.filter(username="u5").exists()


# --- Rejected files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"1", "is not two numbers separated by '\\t': '1'"),
        (b"1\t2\t3", "is not two numbers"),
        (b"1,2", "is not two numbers"),
        (b"a\t2", "'a' is not a whole number"),
        (b"1\t2.5", "'2.5' is not a whole number"),
        (b"1\t", "'' is not a whole number"),
        ("1\t٣".encode(), "is not a whole number"),
        (b"1\t-2", "'-2' is negative"),
        (b"1\t9223372036854775808", "is too big"),
        (b"1\t" + b"9" * 3_000, "is too big"),
        (b"\xff\xfe\t2", "is not UTF-8"),
        (b"1\t\x00", "is not a whole number"),
        (b"1\t2 " + b"x" * 9_000, "longer than 4,096 bytes"),
    ],
)
def test_bad_line_is_reported_and_nothing_is_written(file: File, line: bytes, problem: str) -> None:
    error, printed = run_expecting_error(file(b"1\t2\n# comment\n" + line + b"\n3\t4\n"))
    assert error == "1 bad lines; nothing was written (--skip-bad imports the others)"
    assert "line 3: " in printed
    assert problem in printed
    assert not User.objects.exists()


def test_only_the_first_bad_lines_are_listed(file: File) -> None:
    error, printed = run_expecting_error(file("bad\n" * 50))
    assert error.startswith("50 bad lines")
    assert printed.count("is not two numbers") == 20
    assert "and 30 more bad lines" in printed


def test_skip_bad_imports_the_good_lines(file: File) -> None:
    printed = run(file("1\t2\nbad\n3\t2\n"), skip_bad=True)
    assert follows() == {("u1", "u2"), ("u3", "u2")}
    assert "line 2: " in printed
    assert "1 bad lines skipped" in printed


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:-8] + b"\0" * 8])
def test_damaged_gzip_writes_nothing(file: File, damage: Callable[[bytes], bytes]) -> None:
    packed = gzip.compress("".join(f"{n}\t{n * 7919}\n" for n in range(1, 5_000)).encode())
    error, printed = run_expecting_error(file(damage(packed)))
    assert error.startswith("1 bad lines; nothing was written")
    assert "the gzip data is truncated or damaged here" in printed
    assert not User.objects.exists()


def test_unreadable_files_are_one_line_errors(file: File, tmp_path: Path) -> None:
    assert "not a file" in run_expecting_error(tmp_path / "none.tsv", status=2)[0]
    assert "not a file" in run_expecting_error(tmp_path, status=2)[0]
    assert "is empty" in run_expecting_error(file(""))[0]
    assert "is empty" in run_expecting_error(file(gzip.compress(b"", mtime=0)))[0]
    assert "holds no follows" in run_expecting_error(file("# nothing\n\n"))[0]


def test_dry_run_writes_nothing(file: File) -> None:
    UserFactory(username="u1")
    printed = run(file("1\t2\n3\t2\n"), dry_run=True)
    assert "would create 2 users and 2 follows" in printed
    assert User.objects.count() == 1
    assert not Follow.objects.exists()


def test_interrupted_import_is_rolled_back(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        User.objects.create_user("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(follow_import, "apply", interrupted)
    with pytest.raises(CommandError, match="interrupted; run again to resume") as error:
        call_command("import_follows", str(file("1\t2\n")), stdout=StringIO())
    assert error.value.returncode == 130
    assert not User.objects.exists()


# --- Blocks, private accounts, locks -----------------------------------------------------------------


@pytest.mark.parametrize(("blocker", "blocked"), [("u1", "u2"), ("u2", "u1")])
def test_blocked_pairs_are_skipped(file: File, blocker: str, blocked: str) -> None:
    BlockFactory(blocker__username=blocker, blocked__username=blocked)
    printed = run(file("1\t2\n3\t2\n"))
    assert follows() == {("u3", "u2")}
    assert counts("u2") == (1, 0)
    assert "1 blocked" in printed


def test_private_accounts_are_followed_and_requests_granted(file: File) -> None:
    request = FollowRequestFactory(follower__username="u1", followee__username="u2")
    other = FollowRequestFactory(followee=request.followee)
    run(file("1\t2\n"))
    assert follows() == {("u1", "u2")}
    assert list(FollowRequest.objects.values_list("follower_id", flat=True)) == [other.follower_id]


@pytest.mark.parametrize("dry_run", [True, False])
def test_former_username_of_another_account_is_refused(file: File, dry_run: bool) -> None:
    owner = UserFactory()
    former_usernames.record_rename(owner.pk, "u7", owner.username)
    message, _ = run_expecting_error(file("1\t2\n2\t7\n"), dry_run=dry_run)
    assert message == "u7 is a former username, which is reserved to another account: nothing was written"
    assert list(User.objects.all()) == [owner]
    FormerUsername.objects.update(reserved_until=timezone.now())
    assert run(file("1\t2\n2\t7\n"))
    assert follows() == {("u1", "u2"), ("u2", "u7")}


def test_username_that_is_given_up_during_the_import_is_refused(file: File) -> None:
    owner = UserFactory()

    def give_up_before_the_insert(execute: Any, sql: str, *rest: Any) -> Any:
        if "INSERT INTO accounts_user" in sql:
            former_usernames.record_rename(owner.pk, "u2", owner.username)
        return execute(sql, *rest)

    with connection.execute_wrapper(give_up_before_the_insert):
        message, _ = run_expecting_error(file("1\t2\n"))
    assert message.startswith("a username was given up meanwhile and is reserved to its account: nothing was written")
    assert list(User.objects.all()) == [owner]


def test_import_waits_for_running_relation_writes(file: File) -> None:
    with psycopg.connect(_url()) as other:
        other.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended('graph', 0))")
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '100ms'")
        with pytest.raises(OperationalError, match="lock timeout"):
            run(file("1\t2\n"))


def test_relation_writes_wait_for_a_running_import() -> None:
    one, two = UserFactory(), UserFactory()
    with psycopg.connect(_url()) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('graph', 0))")
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '100ms'")
        with pytest.raises(OperationalError, match="lock timeout"):
            follow(one.pk, two.pk)


def _url() -> str:
    """Return the URL of the test database for another connection."""
    database = connection.get_connection_params()
    return psycopg.conninfo.make_conninfo(
        **{name: database[name] for name in ("host", "port", "user", "password", "dbname") if name in database}
    )


# --- Celebrities and caches --------------------------------------------------------------------------


def test_authors_over_the_threshold_become_celebrities(file: File, settings: Settings) -> None:
    settings.CELEBRITY_THRESHOLD = 3
    summary = run(file("1\t9\n2\t9\n3\t9\n1\t8\n2\t8\n"))
    assert User.objects.get(username="u9").celebrity_state == CelebrityState.CELEBRITY
    assert User.objects.get(username="u8").celebrity_state == CelebrityState.ORDINARY
    assert "1 became celebrities" in summary


def test_cached_feeds_of_new_followers_are_invalidated(file: File, redis_cache: redis.Redis) -> None:
    one, bystander = UserFactory(username="u1"), UserFactory(username="u5")
    FollowFactory(follower=bystander, followee=one)
    for user in (one, bystander):
        redis_cache.rpush(keys.home_timeline(user.pk), 1)
        redis_cache.sadd(keys.visible_authors(user.pk), 0)
    run(file("1\t2\n5\t1\n"))
    assert not redis_cache.exists(keys.home_timeline(one.pk), keys.visible_authors(one.pk))
    assert redis_cache.exists(keys.home_timeline(bystander.pk), keys.visible_authors(bystander.pk)) == 2


def test_rate_limits_reading(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("instafeed.core.management.base.time.sleep", slept.append)
    began = time.monotonic()
    run(file("".join(f"{n}\t0\n" for n in range(1, 31))), rate=10)
    elapsed = time.monotonic() - began
    for wanted, wait in zip((1, 2, 3), slept, strict=True):  # nothing really slept, so the waits add up
        assert wanted - elapsed <= wait <= wanted
