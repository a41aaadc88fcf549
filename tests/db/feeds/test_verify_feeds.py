"""`verify_feeds` finds, reports and repairs inconsistencies, and ignores expected differences."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import CelebrityState, User
from feeds import backfill, celebrity_transitions, consistency, visible_authors
from feeds.management.commands import verify_feeds as command
from feeds.models import FanOut
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client as cache
from instafeed.core.jobs.leased import JobState
from posts import services
from social import services as social
from tests.db.feeds.feed_setup import create_posts, deliver_all, follow, read_feed
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consistency, "RECHECK_DELAY", 0)


def verify(*arguments: str, **options: Any) -> tuple[int, str]:
    """Run the command and return (exit status, output)."""
    out = StringIO()
    try:
        call_command("verify_feeds", *arguments, stdout=out, **options)
    except CommandError as error:
        return error.returncode, f"{out.getvalue()}{error}"
    return 0, out.getvalue()


class Site:
    """A fan with a cached feed of an ordinary author and a celebrity, whose author timeline is cached too."""

    def __init__(self) -> None:
        self.fan, self.author, self.star, self.stranger = UserFactory.create_batch(4)
        follow(self.author, self.fan)
        follow(self.star, self.fan)
        self.old = create_posts(self.star)
        deliver_all()
        User.objects.filter(pk=self.star.pk).update(celebrity_pin=True)
        celebrity_transitions.promote([self.star.pk])
        self.posts, self.pulled = create_posts(self.author, 2), create_posts(self.star, 2)
        self.foreign = create_posts(self.stranger)
        deliver_all()
        visible_authors.fill_celebrities(0)
        backfill.rebuild_home_timeline(self.fan.pk)
        backfill.rebuild_author_timelines([self.star.pk], 0)
        self.feed, self.list = keys.home_timeline(self.fan.pk), keys.author_timeline(self.star.pk, 0)

    def expected(self) -> list[int]:
        return sorted([*self.old, *self.posts, *self.pulled], reverse=True)

    def remove_post_from_feed(self) -> str:
        assert cache().lrem(self.feed, 0, str(self.posts[1]))
        return f"{self.feed}: lacks 1 posts, the newest {self.posts[1]}"

    def add_foreign_post_to_feed(self) -> str:
        cache().lpush(self.feed, self.foreign[0])
        return f"{self.feed}: holds 1 posts that do not belong there, the newest {self.foreign[0]}"

    def remove_post_from_celebrity_timeline(self) -> str:
        assert cache().lrem(self.list, 0, str(self.pulled[0]))
        return f"{self.list}: lacks 1 posts, the newest {self.pulled[0]}"

    def add_foreign_post_to_celebrity_timeline(self) -> str:
        cache().lpush(self.list, self.foreign[0])
        return f"{self.list}: holds 1 posts that do not belong there"

    def remove_celebrity_from_set(self) -> str:
        assert cache().srem(keys.celebrities(0), self.star.pk)
        return f"{keys.celebrities(0)}: lacks 1 celebrities and holds 0"

    def add_stranger_to_celebrity_set(self) -> str:
        cache().sadd(keys.celebrities(0), self.stranger.pk)
        return f"{keys.celebrities(0)}: lacks 0 celebrities and holds 1"

    def remove_followee_from_visible_authors(self) -> str:
        assert cache().srem(keys.visible_authors(self.fan.pk), self.author.pk)
        return f"{keys.visible_authors(self.fan.pk)}: differs from the follows"


INCONSISTENCIES = [name for name in vars(Site) if name.startswith(("remove_", "add_"))]


@pytest.fixture
def site() -> Site:
    return Site()


def test_consistent_feeds_are_clean(site: Site) -> None:
    assert cache().exists(site.feed, site.list, keys.celebrities(0), keys.visible_authors(site.fan.pk)) == 4
    status, output = verify()
    assert (status, output.splitlines()[-1][:7]) == (0, "Clean: ")


def test_a_cold_cache_is_not_called_clean() -> None:
    UserFactory()
    status, output = verify()
    assert (status, output.splitlines()[-1]) == (0, "Nothing was warm to check: Redis has no timeline of a user.")
    assert verify("--after=7")[1].splitlines()[-1].endswith("no timeline of a user above 7.")


@pytest.mark.parametrize("inconsistency", INCONSISTENCIES)
def test_inconsistency_is_reported_and_repaired_on_request(site: Site, inconsistency: str) -> None:
    expected_line = getattr(site, inconsistency)()
    for arguments in ((), ("--repair", "--dry-run")):
        status, output = verify(*arguments)
        assert status == 1
        assert expected_line in output
        assert "1 wrong; " in output
        assert "deleted" not in output
    status, output = verify("--repair")
    assert status == 0
    assert expected_line in output
    assert "; deleted\n" in output
    assert "Repaired 1; " in output
    assert verify()[0] == 0
    assert read_feed(site.fan) == site.expected()
    assert cache().exists(site.feed), "the feed is cached again"
    assert verify()[0] == 0


def test_several_inconsistencies_are_repaired_together(site: Site) -> None:
    for inconsistency in (
        "remove_post_from_feed",
        "add_foreign_post_to_feed",
        "remove_post_from_celebrity_timeline",
        "remove_celebrity_from_set",
    ):
        getattr(site, inconsistency)()
    status, output = verify("--repair")
    assert (status, "Repaired 3; " in output) == (0, True), "the two differences of one feed count once"
    assert "lacks 1 posts" in output
    assert " and holds 1 posts" in output
    assert read_feed(site.fan) == site.expected()


def _pending_delivery(site: Site) -> None:
    (post,) = create_posts(site.author)
    assert FanOut.objects.get(pk=post).state == JobState.PENDING


def _deleted_before_delivery(site: Site) -> None:
    (post,) = create_posts(site.author)
    services.delete_post(post, site.author.pk)
    deliver_all()
    cache().lrem(site.feed, 0, str(post))


def _deleted(site: Site) -> None:
    services.delete_post(site.posts[0], site.author.pk)


def _muted(site: Site) -> None:
    social.mute(site.fan.pk, site.author.pk)
    read_feed(site.fan)  # caches the feed again
    (post,) = create_posts(site.author)
    deliver_all()
    assert str(post).encode() in cache().lrange(site.feed, 0, -1), "posts of muted authors are still pushed"


def _hidden(site: Site) -> None:
    services.hide_post(site.posts[0])


def _half_demoted(site: Site) -> None:
    User.objects.filter(pk=site.star.pk).update(celebrity_state=CelebrityState.DEMOTING, celebrity_since=timezone.now())


@pytest.mark.parametrize(
    "happened", [_pending_delivery, _deleted_before_delivery, _deleted, _muted, _hidden, _half_demoted]
)
def test_expected_differences_are_not_reported(site: Site, happened: Callable[[Site], None]) -> None:
    happened(site)
    status, output = verify()
    assert status == 0, output


def test_difference_gone_at_the_recheck_is_not_reported(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.remove_post_from_feed()
    monkeypatch.setattr(consistency.time, "sleep", lambda _: cache().delete(site.feed))
    assert verify()[0] == 0


def test_sample_limits_the_number_of_feeds(site: Site) -> None:
    for viewer in (site.author, site.stranger):
        read_feed(viewer)
    assert "Checking 3 warm feeds" in verify()[1]
    assert "Checking 2 warm feeds" in verify("--sample=2")[1]
    assert "Checking 3 warm feeds" in verify("--sample=9")[1]


def test_after_skips_checked_users(site: Site) -> None:
    site.remove_post_from_feed()
    assert verify(f"--after={site.fan.pk - 1}")[0] == 1
    assert verify(f"--after={site.fan.pk}")[0] == 0


def test_interrupted_repair_resumes_without_gaps(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt between a celebrity's feed, which is right, and the author timeline, which is wrong."""
    for viewer in (site.author, site.star):
        read_feed(viewer)
    site.remove_post_from_feed()
    site.remove_post_from_celebrity_timeline()
    check = consistency.check_author_timeline

    def interrupted(author_id: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "CHECK_BATCH_SIZE", 1)
    with monkeypatch.context() as patch:
        patch.setattr(
            consistency, "check_author_timeline", lambda id_: interrupted(id_) if id_ == site.star.pk else check(id_)
        )
        status, output = verify("--repair")
    assert (status, "1 repaired so far" in output) == (130, True)
    after = output.rpartition("--after ")[2]
    assert int(after) == site.star.pk - 1, "the interrupted user is checked again"
    status, output = verify("--repair", f"--after={after}")
    assert (status, "Repaired 1; 2 timelines checked" in output) == (0, True), output
    assert verify()[0] == 0
