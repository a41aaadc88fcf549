"""`seed_demo` creates a complete, exact and repeatable network, or nothing."""

from __future__ import annotations

from collections import Counter
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Count
from PIL import Image
from pytest_django import Settings

from accounts.models import CelebrityState, SecondFactor, User
from feeds import celebrity_transitions
from feeds.models import DeliveryMode, FanOut
from instafeed.core.db import snowflake
from instafeed.core.jobs.leased import JobState
from instafeed.demo import pictures
from instafeed.demo.loader import Loader
from instafeed.demo.network import Network, Recipe
from instafeed.demo.profiles import generate_profiles
from instafeed.devstack.demo_credentials import (
    ADMIN_PASSWORD,
    ADMIN_USERNAME,
    DEMO_PASSWORD,
    DEMO_USERNAME,
    usable_names,
)
from media import storage
from media.models import Media
from posts import counters, entities
from posts.models import Case, Comment, Like, Post, PostHashtag, PostMedia, Report
from social.models import Follow
from tests.support.factories import UserFactory
from tests.support.pictures import expected_paths
from tests.support.populated_account import assert_counts_are_exact

SMALL = {"users": 60, "follows": 500, "posts": 120, "celebrities": 3, "seed": 7}


@pytest.fixture(autouse=True)
def _temporary_media_root(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "media")


@pytest.fixture(autouse=True)
def _draw_few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "DRAWN_PICTURES", 2)
    monkeypatch.setattr(pictures, "AVATAR_PICTURES", 1)


def seed(**options: Any) -> str:
    out = StringIO()
    call_command("seed_demo", stdout=out, stderr=out, **(SMALL | options))
    return out.getvalue()


def network_fingerprint() -> tuple[Any, ...]:
    """Return the parts of the network that the seed determines, by names instead of ids."""
    return (
        set(Follow.objects.values_list("follower__username", "followee__username")),
        list(Post.objects.order_by("pk").values_list("author__username", "caption")),
        set(User.objects.values_list("username", "display_name", "bio", "is_private", "celebrity_pin")),
        list(PostMedia.objects.order_by("post_id", "position").values_list("position", "media__key")),
    )


# --- The plan of the network, without a database -----------------------------------------------------


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(users=5, follows=0, posts=0, celebrities=0),
        Recipe(users=5, follows=0, posts=5, celebrities=1),
        Recipe(users=14, follows=27, posts=40, celebrities=10),
        Recipe(users=42, follows=370, posts=1, celebrities=0),
    ],
)
def test_network_has_the_requested_follows_and_posts(recipe: Recipe) -> None:
    assert recipe.problem() is None
    network = Network(recipe, 10_000)
    follows = [(follower, followee) for follower, followees in network.follows() for followee in followees]
    assert len(set(follows)) == len(follows) == recipe.follows
    assert all(follower != followee for follower, followee in follows)
    assert Counter(followee for _, followee in follows) == +Counter(dict(enumerate(network.followers)))
    assert Counter(follower for follower, _ in follows) == +Counter(dict(enumerate(network.following)))
    moments = [moment for _, moment in network.posts()]
    assert len(moments) == recipe.posts == sum(network.posts_by)
    assert moments == sorted(moments)
    assert all(0 <= moment < 1 for moment in moments)


def test_popularity_has_a_heavy_tail() -> None:
    network = Network(Recipe(users=2_000, follows=40_000), 10_000)
    list(network.follows())
    ranked = sorted(network.followers, reverse=True)
    assert ranked[0] > 20 * ranked[len(ranked) // 2]
    assert sum(ranked[:200]) > sum(ranked) / 4


def test_demo_user_follows_celebrities_and_ordinary_users() -> None:
    network = Network(Recipe(), 10_000)
    list(network.follows())
    assert len(network.pinned) == 5
    assert network.pinned < set(network.demo_followees)
    assert len(network.demo_followees) == 45
    assert min(network.followers[person] for person in network.pinned) == sorted(network.followers)[-5]


def test_low_threshold_keeps_ordinary_followees() -> None:
    network = Network(Recipe(), 10)
    list(network.follows())
    assert sum(not network.is_celebrity(person) for person in network.demo_followees) >= 10


# --- In the database ---------------------------------------------------------------------------------


@pytest.mark.django_db
def test_counts_are_exact() -> None:
    seed()
    assert (User.objects.count(), Follow.objects.count(), Post.objects.count()) == (60, 500, 120)
    followers = dict(Follow.objects.values_list("followee_id").annotate(Count("follower_id")))
    following = dict(Follow.objects.values_list("follower_id").annotate(Count("followee_id")))
    posts = dict(Post.objects.values_list("author_id").annotate(Count("pk")))
    for user in User.objects.all():
        said = (user.follower_count, user.following_count, user.post_count)
        assert said == (followers.get(user.pk, 0), following.get(user.pk, 0), posts.get(user.pk, 0))


@pytest.mark.django_db
def test_posts_are_in_time_order_and_delivered() -> None:
    seed()
    posts = list(Post.objects.order_by("pk"))
    assert all(snowflake.timestamp_of_id(post.pk) == post.created_at for post in posts)
    assert all(post.caption for post in posts)
    assert len({post.created_at.date() for post in posts}) > 20
    famous = set(User.objects.filter(celebrity_state=CelebrityState.CELEBRITY).values_list("pk", flat=True))
    fan_outs = FanOut.objects.all()
    assert {row.post_id for row in fan_outs} == {post.pk for post in posts}
    assert {row.state for row in fan_outs} == {JobState.DONE}
    assert all((row.mode == DeliveryMode.PULL) == (row.author_id in famous) for row in fan_outs)


@pytest.mark.django_db
def test_reaction_counts_and_hashtag_index_are_exact() -> None:
    seed()
    likes = Counter(Like.objects.values_list("post_id", flat=True))
    comments = Counter(Comment.objects.values_list("post_id", flat=True))
    assert likes
    assert comments
    counts = counters.fetch_counts(Post.objects.values_list("pk", flat=True))
    assert {post_id: (found.likes, found.comments) for post_id, found in counts.items()} == {
        post_id: (likes[post_id], comments[post_id]) for post_id in counts
    }
    tagged = {(post.pk, name) for post in Post.objects.all() for name in entities.extract_folded_hashtags(post.caption)}
    assert tagged
    assert set(PostHashtag.objects.values_list("post_id", "hashtag__name")) == tagged


@pytest.mark.django_db
def test_pinned_celebrities_are_not_reclassified() -> None:
    seed()
    famous = User.objects.filter(celebrity_state=CelebrityState.CELEBRITY)
    assert {user.celebrity_pin for user in famous} == {True}
    assert not any(user.is_private for user in famous)
    assert celebrity_transitions.reclassify() == celebrity_transitions.ReclassifyResult(promoted=0, demoted=0)


@pytest.mark.django_db
def test_users_over_the_threshold_are_unpinned_celebrities(settings: Settings) -> None:
    settings.CELEBRITY_THRESHOLD = 12
    seed()
    over = User.objects.filter(follower_count__gte=12)
    assert over.count() > 3
    assert {(user.celebrity_state, user.celebrity_pin) for user in over} == {(CelebrityState.CELEBRITY, None)}
    assert celebrity_transitions.reclassify() == celebrity_transitions.ReclassifyResult(promoted=0, demoted=0)


@pytest.mark.django_db
def test_demo_user_staff_and_some_users_can_sign_in() -> None:
    seed()
    demo, admin = User.objects.get(username=DEMO_USERNAME), User.objects.get(username=ADMIN_USERNAME)
    assert demo.check_password(DEMO_PASSWORD)
    assert not demo.is_staff
    assert admin.check_password(ADMIN_PASSWORD)
    assert admin.is_superuser
    staff = {user: user.get_all_permissions() for user in User.objects.filter(is_staff=True)}
    assert {user.username for user in staff} == {"admin", "moderator", "operator"}
    assert all(user.check_password(ADMIN_PASSWORD) for user in staff)
    moderator, operator = (User.objects.get(username=name) for name in ("moderator", "operator"))
    assert staff[moderator] - staff[operator] >= {"posts.moderate_post", "accounts.suspend_user"}
    assert staff[operator] - staff[moderator] >= {"accounts.pin_celebrity", "feeds.resume_fanout"}
    others = [user for user in User.objects.exclude(pk=demo.pk).filter(is_staff=False) if user.has_usable_password()]
    assert len(others) == 19
    assert all(user.check_password(DEMO_PASSWORD) for user in others)


def usable_demo_names() -> list[str]:
    connection.ensure_connection()
    return usable_names(connection.connection)


@pytest.mark.django_db
def test_only_accounts_whose_password_is_enough_are_named() -> None:
    seed()
    assert usable_demo_names() == ["demo", "admin", "moderator", "operator"]
    demo = User.objects.get(username=DEMO_USERNAME)
    demo.set_password("another-password-1")
    demo.save()
    User.objects.filter(username="operator").update(is_active=False)
    assert usable_demo_names() == ["admin", "moderator"]
    User.objects.filter(username="moderator").update(is_staff=False)
    SecondFactor.objects.create(user=User.objects.get(username="admin"), encrypted_secret="", key_id="", confirmed=True)
    assert usable_demo_names() == []


@pytest.mark.django_db
def test_moderation_queue_has_cases() -> None:
    seed()
    cases = Case.objects.all()
    assert {case.target_type for case in cases} == {"post", "comment", "user"}
    assert sum(case.report_count for case in cases) == Report.objects.count() > len(cases)


@pytest.mark.django_db
def test_newest_posts_have_pictures() -> None:
    seed(posts=260)
    newest = set(Post.objects.order_by("-pk").values_list("pk", flat=True)[:200])
    assert set(PostMedia.objects.values_list("post_id", flat=True)) == newest
    for row in PostMedia.objects.select_related("media", "post")[:10]:
        assert row.media.owner_id == row.post.author_id
        largest = row.media.variants["1080"]
        with storage.open(expected_paths(row.media)[-1]) as file, Image.open(file) as image:
            assert image.size == (largest["width"], largest["height"])
    demo = User.objects.get(username=DEMO_USERNAME)
    assert default_storage.exists(demo.avatar_path)


@pytest.mark.django_db
def test_new_rows_and_constraints_work_after_seeding() -> None:
    seed()
    one, two = UserFactory(), UserFactory()
    Follow.objects.create(follower=one, followee=two)
    Post.objects.create(author=one, caption="after")
    assert Post.objects.latest("pk").caption == "after"
    with pytest.raises(Exception, match="follow_not_oneself"):
        Follow.objects.create(follower=one, followee=one)


@pytest.mark.django_db
def test_seed_determines_the_network() -> None:
    def fingerprint_of(number: int) -> tuple[Any, ...]:
        with transaction.atomic():
            seed(seed=number)
            fingerprint = network_fingerprint()
            transaction.set_rollback(True)
        return fingerprint

    first = fingerprint_of(7)
    assert fingerprint_of(7) == first
    assert fingerprint_of(8)[0] != first[0]


@pytest.mark.django_db
def test_second_run_changes_nothing() -> None:
    seed()
    before = list(User.objects.order_by("pk").values())
    assert "Already seeded" in seed()
    assert list(User.objects.order_by("pk").values()) == before


@pytest.mark.django_db
def test_refuses_a_database_with_other_data() -> None:
    user = UserFactory()
    with pytest.raises(CommandError, match="only fills one that is empty except for staff"):
        seed()
    User.objects.update(is_staff=True)
    Post.objects.create(author=user)
    with pytest.raises(CommandError, match="only fills one that is empty except for staff"):
        seed()
    User.objects.all().delete()
    seed()
    with pytest.raises(CommandError, match=r"already holds the demo of users=60 .* seed=7"):
        seed(seed=8)


@pytest.mark.django_db
def test_the_administrator_of_a_new_site_is_kept() -> None:
    admin = UserFactory(username=ADMIN_USERNAME, is_staff=True, is_superuser=True, email="me@example.org")
    other = UserFactory(username="grace", is_staff=True)
    summary = seed()
    assert "Seeded 59 users" in summary
    assert "moderator, operator / " in summary
    assert "admin, " not in summary
    assert usable_demo_names() == ["demo", "moderator", "operator"]
    password = admin.password
    admin.refresh_from_db()
    assert (admin.password, admin.email, admin.is_superuser) == (password, "me@example.org", True)
    assert User.objects.count() == 61
    assert User.objects.get(username="moderator").groups.get().name == "Moderator"
    assert not User.objects.get(pk=other.pk).groups.exists()
    assert_counts_are_exact()
    assert "Already seeded" in seed()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("username", "email"),
    [(DEMO_USERNAME, ""), ("", ""), ("grace", "demo@example.com"), ("grace", "operator@example.com")],
)
def test_an_account_with_a_name_of_the_demo_is_refused(username: str, email: str) -> None:
    name = username or next(generate_profiles(1, SMALL["seed"])).username
    UserFactory(username=name, email=email, is_staff=True)
    with pytest.raises(CommandError, match="has the name or the email address of a demo account"):
        seed()
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_interrupted_run_is_rolled_back_and_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Loader, "load_pictures", interrupted)
        with pytest.raises(CommandError, match="interrupted") as error:
            seed()
    assert error.value.returncode == 130
    assert not User.objects.exists()
    assert not Follow.objects.exists()
    assert "Seeded 60 users" in seed()


@pytest.mark.django_db
def test_dry_run_writes_nothing(settings: Settings) -> None:
    assert "nothing was written" in seed(dry_run=True)
    assert not User.objects.exists()
    assert not Path(settings.MEDIA_ROOT).exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"follows": 10_000}, "--follows must be at most"),
        ({"celebrities": 60}, "--celebrities must be at most"),
        ({"users": 4}, "--users must be at least 5"),
    ],
)
def test_impossible_networks_are_one_line_errors(options: dict[str, int], problem: str) -> None:
    with pytest.raises(CommandError, match=problem):
        seed(**options)


@pytest.mark.parametrize("argument", ["--users=4", "--users=x", "--posts=-1", "--follows=1.5", "--rate=0"])
def test_invalid_numbers_are_rejected(argument: str) -> None:
    with pytest.raises(CommandError, match="is not a whole number from"):
        call_command("seed_demo", argument)


# --- Photographs -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_photos_are_rotated_resized_and_stripped(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010F] = "Example camera"
    Image.new("RGB", (2400, 1200), "teal").save(photos / "a.jpg", exif=exif, comment=b"secret")
    (photos / "b.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    printed = seed(posts=3, photos=photos)
    assert "skipped b.jpg: " in printed
    media = Media.objects.all()
    assert {(row.width, row.height) for row in media} == {(1200, 2400)}
    for path in expected_paths(media[0]):
        with storage.open(path) as file:
            content = file.read()
        with Image.open(BytesIO(content)) as image:
            assert not image.getexif()
            assert image.height == 2 * image.width
        assert b"secret" not in content
        assert b"camera" not in content


@pytest.mark.django_db
def test_folder_without_pictures_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot read"):
        seed(photos=tmp_path / "none")
    (tmp_path / "photos").mkdir()
    with pytest.raises(CommandError, match="holds no usable picture"):
        seed(photos=tmp_path / "photos")
