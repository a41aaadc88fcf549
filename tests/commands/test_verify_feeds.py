"""`verify_feeds`: drift that is planted is found, told, and mended; what only looks like drift is not."""

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
from feeds.models import FanOut, State
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client as cache
from posts import services
from social import services as social
from tests.factories import UserFactory
from tests.feeds.feed_setup import create_posts, deliver_all, follow, read_feed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consistency, "RECHECK_DELAY", 0)


def verify(*arguments: str, **options: Any) -> tuple[int, str]:
    """The exit status, and all that was printed."""
    out = StringIO()
    try:
        call_command("verify_feeds", *arguments, stdout=out, **options)
    except CommandError as error:
        return error.returncode, f"{out.getvalue()}{error}"
    return 0, out.getvalue()


class Site:
    """A fan with a warm feed of an ordinary author and of a celebrity, whose list is warm as well."""

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
        visible_authors.fill(self.fan.pk)
        visible_authors.fill_celebrities()
        backfill.rebuild_home_feed(self.fan.pk)
        backfill.rebuild_author_timeline(self.star.pk)
        self.feed, self.list = keys.home_timeline(self.fan.pk), keys.author_timeline(self.star.pk)

    def expected(self) -> list[int]:
        return sorted([*self.old, *self.posts, *self.pulled], reverse=True)

    def lose_an_entry(self) -> str:
        assert cache().lrem(self.feed, 0, str(self.posts[1]))
        return f"{self.feed}: lacks 1 posts, the newest {self.posts[1]}"

    def add_a_foreign_entry(self) -> str:
        cache().lpush(self.feed, self.foreign[0])
        return f"{self.feed}: holds 1 posts that do not belong there, the newest {self.foreign[0]}"

    def lose_an_entry_of_the_celebrity(self) -> str:
        assert cache().lrem(self.list, 0, str(self.pulled[0]))
        return f"{self.list}: lacks 1 posts, the newest {self.pulled[0]}"

    def add_a_foreign_entry_to_the_celebrity(self) -> str:
        cache().lpush(self.list, self.foreign[0])
        return f"{self.list}: holds 1 posts that do not belong there"

    def forget_the_celebrity(self) -> str:
        assert cache().srem(keys.CELEBRITIES, self.star.pk)
        return f"{keys.CELEBRITIES}: lacks 1 authors and holds 0"

    def take_somebody_for_a_celebrity(self) -> str:
        cache().sadd(keys.CELEBRITIES, self.stranger.pk)
        return f"{keys.CELEBRITIES}: lacks 0 authors and holds 1"

    def forget_a_followee(self) -> str:
        assert cache().srem(keys.visible_authors(self.fan.pk), self.author.pk)
        return f"{keys.visible_authors(self.fan.pk)}: differs from the follows"


PLANTS = [name for name in vars(Site) if name.startswith(("lose", "add", "forget", "take"))]


@pytest.fixture
def site() -> Site:
    return Site()


def test_what_is_right_is_clean(site: Site) -> None:
    assert cache().exists(site.feed, site.list, keys.CELEBRITIES, keys.visible_authors(site.fan.pk)) == 4
    status, said = verify()
    assert (status, said.splitlines()[-1][:7]) == (0, "Clean: ")


@pytest.mark.parametrize("plant", PLANTS)
def test_drift_is_told_and_left_then_mended_and_then_there_is_none(site: Site, plant: str) -> None:
    told = getattr(site, plant)()
    for arguments in ((), ("--repair", "--dry-run")):
        status, said = verify(*arguments)
        assert status == 1
        assert told in said
        assert "1 wrong; " in said
        assert "dropped" not in said
    status, said = verify("--repair")
    assert status == 0
    assert told in said
    assert "; dropped\n" in said
    assert "Mended 1; " in said
    assert verify()[0] == 0
    assert read_feed(site.fan) == site.expected()
    assert cache().exists(site.feed), "warm again, and right"
    assert verify()[0] == 0


def test_all_at_once_is_mended_at_once(site: Site) -> None:
    for plant in ("lose_an_entry", "add_a_foreign_entry", "lose_an_entry_of_the_celebrity", "forget_the_celebrity"):
        getattr(site, plant)()
    status, said = verify("--repair")
    assert (status, "Mended 3; " in said) == (0, True), "the feed's two are one"
    assert "lacks 1 posts" in said
    assert " and holds 1 posts" in said
    assert read_feed(site.fan) == site.expected()


def _on_its_way(site: Site) -> None:
    (post,) = create_posts(site.author)
    assert FanOut.objects.get(pk=post).state == State.PENDING


def _deleted_before_it_was_delivered(site: Site) -> None:
    (post,) = create_posts(site.author)
    services.delete_post(post, site.author.pk)
    deliver_all()
    cache().lrem(site.feed, 0, str(post))


def _deleted(site: Site) -> None:
    services.delete_post(site.posts[0], site.author.pk)


def _muted(site: Site) -> None:
    social.mute(site.fan.pk, site.author.pk)
    read_feed(site.fan)  # warm again
    (post,) = create_posts(site.author)
    deliver_all()
    assert str(post).encode() in cache().lrange(site.feed, 0, -1), "pushed all the same"


def _hidden(site: Site) -> None:
    services.hide_post(site.posts[0])


def _half_demoted(site: Site) -> None:
    User.objects.filter(pk=site.star.pk).update(celebrity_state=CelebrityState.DEMOTING, celebrity_since=timezone.now())


@pytest.mark.parametrize(
    "happened", [_on_its_way, _deleted_before_it_was_delivered, _deleted, _muted, _hidden, _half_demoted]
)
def test_what_only_looks_like_drift_is_none(site: Site, happened: Callable[[Site], None]) -> None:
    happened(site)
    status, said = verify()
    assert status == 0, said


def test_what_comes_right_by_the_second_look_is_no_drift(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.lose_an_entry()
    monkeypatch.setattr(consistency.time, "sleep", lambda _: cache().delete(site.feed))
    assert verify()[0] == 0


def test_a_sample_checks_so_many_feeds(site: Site) -> None:
    for viewer in (site.author, site.stranger):
        read_feed(viewer)
    assert "Checking 3 warm feeds" in verify()[1]
    assert "Checking 2 warm feeds" in verify("--sample=2")[1]
    assert "Checking 3 warm feeds" in verify("--sample=9")[1]


def test_after_leaves_out_who_was_checked(site: Site) -> None:
    site.lose_an_entry()
    assert verify(f"--after={site.fan.pk - 1}")[0] == 1
    assert verify(f"--after={site.fan.pk}")[0] == 0


def test_an_interrupted_one_has_mended_what_it_came_by_and_leaves_out_nobody(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a celebrity's feed, which is right, and its list, which is not."""
    for viewer in (site.author, site.star):
        read_feed(viewer)
    site.lose_an_entry()
    site.lose_an_entry_of_the_celebrity()
    check = consistency.check_author_timeline

    def interrupted(author_id: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "CHECK_BATCH_SIZE", 1)
    with monkeypatch.context() as patch:
        patch.setattr(
            consistency, "check_author_timeline", lambda id_: interrupted(id_) if id_ == site.star.pk else check(id_)
        )
        status, said = verify("--repair")
    assert (status, "1 mended so far" in said) == (130, True)
    after = said.rpartition("--after ")[2]
    assert int(after) == site.star.pk - 1, "its feed is right, its list is not"
    status, said = verify("--repair", f"--after={after}")
    assert (status, "Mended 1; 2 lists checked" in said) == (0, True), said
    assert verify()[0] == 0
