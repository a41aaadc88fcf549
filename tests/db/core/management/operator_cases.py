"""Every operator command with work for it, wrong arguments and a check of its effect (`CASES`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.utils import timezone

from accounts import audit, operator_actions, second_factor, services, sessions
from accounts.models import AuditEntry, CelebrityState, Invite, SecondFactor, Session, User
from feeds import backfill, celebrity_policy, celebrity_transitions, consistency, fanout_outbox
from feeds.models import FanOut
from instafeed.core import encryption
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client as cache
from instafeed.core.db import partitions
from instafeed.core.jobs.leased import JobState
from instafeed.demo.loader import Loader
from posts import counter_repair
from posts.models import Post
from social import follow_import
from tests.db.core.management import scenarios
from tests.support.populated_account import assert_counts_are_exact


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
    user_ids = consistency.cached_user_ids("feed")
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


def assert_otp_enrolled() -> None:
    assert second_factor.is_enabled(User.objects.get(username="carol").pk)


def assert_audited(action: str) -> None:
    """The newest entry is the action, by the shell and not by a member of staff."""
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.actor_id, entry.actor_name) == (action, 0, operator_actions.SHELL.username)


def assert_fan_outs_dropped() -> None:
    assert [fan_out.state for fan_out in FanOut.objects.all()] == [JobState.DEAD]
    assert Post.objects.count() == 2


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
    bad_arguments: tuple[tuple[str, ...], ...] = ()  # of each kind that the command can have
    refused: tuple[tuple[str, ...], ...] = ()  # arguments that are right, but not for these data
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
            ("--seed=one",),
            ("--photos", "FOLDER"),
            ("--photos",),
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
        bad_arguments=((), ("FOLDER",), ("FILE", "--delimiter=1"), ("FILE", "FILE")),
        refused=(("FILE", "--delimiter=,"),),
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
        bad_arguments=(("--threshold=0",), ("--threshold=many",), ("--threshold",)),
    ),
    Case(
        "verify_feeds",
        ("--repair", "--rate=100000"),
        scenarios.inconsistent_feeds,
        assert_feeds_consistent,
        (consistency, "check_home_timeline"),
        dry_run_status=1,
        bad_arguments=(("--sample=0",), ("--sample",), ("--repair=yes",), ("--after=x",), ("--after=-1",)),
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
        "maintain_partitions",
        (),
        scenarios.expired_fan_outs,
        assert_fan_outs_dropped,
        (partitions, "maintain"),
        bad_arguments=(("posts_post",),),
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
            ("alice", "--reason=x", "--days=week"),
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
        bad_arguments=((), ("missing",)),
        refused=(("bob",), ("carol",)),
        has_progress=False,
    ),
    Case(
        "remove_otp",
        ("alice",),
        scenarios.signed_in_user,
        assert_otp_removed,
        (sessions, "end_all"),
        interrupted_call=1,
        bad_arguments=((), ("missing",)),
        refused=(("bob",),),
        has_progress=False,
    ),
    Case(
        "enroll_otp",
        ("carol",),
        scenarios.staff,
        assert_otp_enrolled,
        (encryption, "encrypt"),
        interrupted_call=1,
        bad_arguments=((), ("missing",), ("bob",), ("carol", "--replace=yes")),
        refused=(("alice",),),
        has_progress=False,
    ),
]
