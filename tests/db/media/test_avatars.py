"""Avatars: public copies that are kept while they are used and deleted afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts import deletion
from accounts import moderation as accounts_moderation
from accounts import services as accounts
from accounts.moderation import ProfilePart
from media import avatars, storage
from media import services as media_services
from media.models import FileDeletion, Media
from posts import services
from tests.db.media.lifecycle import create_post, delete_due_files, reload, relocate, relocate_all, stored_paths, upload
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.pictures import expected_paths, ready_media

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_storage")]


@pytest.fixture
def owner() -> ApiUser:
    return ApiUser(Client(raise_request_exception=False))


def set_avatar(owner: ApiUser, media: Media | None) -> str:
    answer = owner.call("patch", "/me", {"avatar": media and str(media.pk)})
    assert answer.status_code == 200, answer.content
    owner.user.refresh_from_db()
    return owner.user.avatar_path


def test_avatar_survives_the_deletion_of_its_original(owner: ApiUser) -> None:
    media = ready_media(owner.user)
    path = set_avatar(owner, media)
    media_services.delete(owner.id, media.pk)
    delete_due_files(ahead_of_time=True)
    assert stored_paths() == {path}
    assert ApiUser().get(f"/users/{owner.username}")["avatar_url"].endswith(path)


def test_changing_or_removing_an_avatar_deletes_the_old_file(owner: ApiUser) -> None:
    media = ready_media(owner.user)
    first, second = set_avatar(owner, media), set_avatar(owner, media)
    assert first != second
    delete_due_files()
    assert stored_paths() == {second, *expected_paths(media)}
    assert set_avatar(owner, None) == ""
    delete_due_files(ahead_of_time=True)
    assert stored_paths() == set(expected_paths(media))


def test_avatar_stays_public_when_the_account_turns_private(owner: ApiUser) -> None:
    path = set_avatar(owner, ready_media(owner.user))
    url = owner.get("/me")["avatar_url"]
    accounts.update_profile(owner.id, {"is_private": True})
    relocate_all(owner.user)
    assert owner.get("/me")["avatar_url"] == url
    assert path in stored_paths()
    second = set_avatar(owner, Media.objects.get())
    assert second.startswith("avatars/"), "a copy of a private picture is public, too"
    delete_due_files()
    assert path not in stored_paths()


def test_avatar_must_be_a_ready_picture_of_ones_own(owner: ApiUser) -> None:
    for media in (upload(owner.user), ready_media(ApiUser().user)):
        assert_error(owner.call("patch", "/me", {"avatar": str(media.pk)}), 404)
    assert not any(path.startswith("avatars/") for path in stored_paths())


def test_avatar_from_a_picture_that_moves_meanwhile(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, media = storage.copy, ready_media(owner.user)

    def meanwhile(source: str, target: str) -> None:
        monkeypatch.setattr(storage, "copy", copy)
        accounts.update_profile(owner.id, {"is_private": True})
        relocate_all(owner.user)
        copy(source, target)

    monkeypatch.setattr(storage, "copy", meanwhile)
    path = set_avatar(owner, media)
    delete_due_files(ahead_of_time=True)
    assert stored_paths() == {path, *expected_paths(reload(media))}


def test_unavailable_storage_leaves_the_avatar_unchanged(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: Any) -> None:
        raise storage.StorageError("unavailable")

    media = ready_media(owner.user)
    path = set_avatar(owner, media)
    monkeypatch.setattr(storage, "copy", unavailable)
    assert_error(owner.call("patch", "/me", {"avatar": str(media.pk), "bio": "new"}), 503)
    assert owner.get("/me")["avatar_url"].endswith(path)
    assert owner.get("/me")["bio"] == ""


def test_unconfirmed_copy_is_deleted(owner: ApiUser) -> None:
    media, taken = ready_media(owner.user), ApiUser()
    assert avatars.create_copy(owner.id, media.pk), "as if the process died before it confirmed the copy"
    answer = owner.call("patch", "/me", {"avatar": str(media.pk), "username": taken.username})
    assert answer.status_code >= 400
    delete_due_files(ahead_of_time=True)
    assert stored_paths() == set(expected_paths(media))


def test_expired_copy_is_not_used(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, media = storage.copy, ready_media(owner.user)

    def slow(source: str, target: str) -> None:
        copy(source, target)
        delete_due_files(ahead_of_time=True)

    monkeypatch.setattr(storage, "copy", slow)
    assert_error(owner.call("patch", "/me", {"avatar": str(media.pk)}), 503)
    assert owner.get("/me")["avatar_url"] is None


# --- Taking avatars down -----------------------------------------------------------------------------------


def test_suspension_takes_the_avatar_down_and_its_end_brings_it_back(owner: ApiUser) -> None:
    media = ready_media(owner.user)
    public = set_avatar(owner, media)
    accounts.suspend(owner.id)
    relocate_all(owner.user)
    owner.user.refresh_from_db()
    private = owner.user.avatar_path
    assert private.startswith("private/")
    assert stored_paths() == {private, *expected_paths(reload(media))}
    assert "?" in str(avatars.url(private)), "signed, for staff"

    accounts.reinstate(owner.id)
    assert owner.get("/me")["avatar_url"] is None, "until it is public again"
    assert ApiUser().get(f"/users/{owner.username}")["avatar_url"] is None
    relocate_all(owner.user)
    path = owner.get("/me")["avatar_url"].partition("/files/")[2]
    assert stored_paths() == {path, *expected_paths(reload(media))}
    assert path.startswith("avatars/")
    assert path != public, "a public key is never used again"


def test_lost_avatar_does_not_block_a_relocation(owner: ApiUser) -> None:
    storage.delete([set_avatar(owner, ready_media(owner.user))])
    accounts.suspend(owner.id)
    relocate_all(owner.user)
    owner.user.refresh_from_db()
    assert owner.user.avatar_path == ""


def test_avatar_that_changes_while_it_is_moved_stays(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    media, copy = ready_media(owner.user), storage.copy
    set_avatar(owner, media)
    accounts.suspend(owner.id)
    newer: list[str] = []

    def reinstated_meanwhile(source: str, target: str) -> None:
        monkeypatch.setattr(storage, "copy", copy)
        copy(source, target)
        accounts.reinstate(owner.id)
        newer.append(set_avatar(owner, media))

    monkeypatch.setattr(storage, "copy", reinstated_meanwhile)
    relocate(owner.id)
    relocate_all(owner.user)
    owner.user.refresh_from_db()
    delete_due_files(ahead_of_time=True)
    assert [owner.user.avatar_path] == newer
    assert stored_paths() == {*newer, *expected_paths(reload(media))}


def test_deletion_of_the_account_removes_the_avatar_at_once(owner: ApiUser) -> None:
    path = set_avatar(owner, ready_media(owner.user))
    deletion.delete_account(owner.id)
    owner.user.refresh_from_db()
    assert owner.user.avatar_path == ""
    delete_due_files()
    assert path not in stored_paths()


def test_hiding_a_post_removes_the_avatar_that_shows_its_picture(owner: ApiUser) -> None:
    shown, other = ready_media(owner.user), ready_media(owner.user)
    post, harmless = create_post(owner, shown), create_post(owner, other)
    path = set_avatar(owner, shown)
    services.hide_post(int(harmless))
    assert owner.get("/me")["avatar_url"].endswith(path)
    services.hide_post(int(post))
    assert owner.get("/me")["avatar_url"] is None
    assert ApiUser().get(f"/users/{owner.username}")["avatar_url"] is None
    delete_due_files()
    assert path not in stored_paths()
    assert_error(owner.call("patch", "/me", {"avatar": str(shown.pk)}), 404)


@pytest.mark.parametrize("action", ["hide the picture", "suspend"])
def test_avatar_of_a_request_that_a_moderator_overtakes_is_not_used(
    action: str, owner: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, media = storage.copy, ready_media(owner.user)
    post = create_post(owner, media)

    def meanwhile(source: str, target: str) -> None:
        copy(source, target)
        if action == "suspend":
            accounts.suspend(owner.id)
        else:
            services.hide_post(int(post))

    monkeypatch.setattr(storage, "copy", meanwhile)
    assert_error(owner.call("patch", "/me", {"avatar": str(media.pk)}), 404)
    monkeypatch.setattr(storage, "copy", copy)
    relocate_all(owner.user)
    delete_due_files(ahead_of_time=True)
    assert stored_paths() == set(expected_paths(reload(media)))


def test_only_avatars_that_were_public_are_purged_from_the_cdn(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    purged: list[str] = []
    monkeypatch.setattr(storage, "purge_files", purged.extend)
    media = ready_media(owner.user)
    avatars.create_copy(owner.id, media.pk)  # never confirmed
    public = set_avatar(owner, media)
    accounts.suspend(owner.id)
    relocate_all(owner.user)
    accounts.update_profile(owner.id, {"avatar": None})
    delete_due_files(ahead_of_time=True)
    assert stored_paths() == set(expected_paths(reload(media)))
    assert purged == [public]


def test_foreign_paths_are_never_deleted(owner: ApiUser) -> None:
    for path in ("avatars/seed.webp", "faces/a.webp", "public/x/320.webp"):
        type(owner.user).objects.filter(pk=owner.id).update(avatar_path=path)
        set_avatar(owner, None)
    assert not FileDeletion.objects.exists()


# --- Removal by a moderator --------------------------------------------------------------------------------


def remove_avatar(owner: ApiUser) -> None:
    moderator = UserFactory(is_staff=True)
    assert accounts_moderation.remove_profile_part(moderator, owner.id, ProfilePart.AVATAR, "rude")


def test_picture_of_a_removed_avatar_cannot_be_set_or_posted_again(owner: ApiUser) -> None:
    media = ready_media(owner.user)
    set_avatar(owner, media)
    public = expected_paths(media)
    remove_avatar(owner)
    relocate_all(owner.user)
    assert_error(owner.call("patch", "/me", {"avatar": str(media.pk)}), 404)
    assert owner.call("post", "/posts", {"media": [str(media.pk)]}).status_code == 409
    assert not stored_paths() & set(public), "its public address is gone, too"
    assert owner.get(f"/media/{media.pk}")["status"] == "ready", "its owner still sees it"
    set_avatar(owner, ready_media(owner.user))


def test_picture_of_a_removed_avatar_stays_in_its_post(owner: ApiUser) -> None:
    """The post has reports and actions of its own. Hiding and restoring it does not allow the avatar again."""
    media = ready_media(owner.user)
    post = create_post(owner, media)
    set_avatar(owner, media)
    remove_avatar(owner)
    assert reload(media).is_public
    assert not reload(media).is_withheld
    services.hide_post(int(post))
    services.restore_post(int(post))
    relocate_all(owner.user)
    assert_error(owner.call("patch", "/me", {"avatar": str(media.pk)}), 404)
    assert ApiUser().get(f"/posts/{post}")["media"][0]["id"] == str(media.pk)


def test_avatar_request_that_the_removal_overtakes_is_refused(owner: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, media = storage.copy, ready_media(owner.user)
    set_avatar(owner, media)

    def meanwhile(source: str, target: str) -> None:
        copy(source, target)
        remove_avatar(owner)

    monkeypatch.setattr(storage, "copy", meanwhile)
    assert_error(owner.call("patch", "/me", {"avatar": str(media.pk)}), 404)
