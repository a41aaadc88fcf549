"""An account in the web client: registration, password, second factor, settings, notifications, deletion."""

from __future__ import annotations

import json
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

from playwright.sync_api import Route, expect

from tests.browser.webclient.client_window import SHORTEN_TIMEOUT, ClientWindow
from tests.browser.webclient.conftest import OpenWindow
from tests.support.authenticator import code_of
from tests.support.eventually import eventually
from tests.support.http_user import PASSWORD, HttpUser
from tests.support.live_stack import LiveStack
from tests.support.mails import token_in
from tests.support.pictures import jpeg

REFUSAL = "status of 4"  # in the console
NEW_PASSWORD = "quite another secret"
# So that the test uses the present code each time. Those before and after it are accepted for a part of 30 s only.
_FORGET_USED_CODES = "from tests.support.authenticator import forget_used_codes; forget_used_codes()"


def fill_registration(window: ClientWindow, username: str) -> None:
    window.page.get_by_label("Username").fill(username)
    window.page.get_by_label("Email address").fill(f"{username}@example.com")
    window.page.get_by_label("Password").fill(PASSWORD)


def expect_feed(window: ClientWindow) -> None:
    window.page.wait_for_url(window.stack.base_url + "/")
    expect(window.page.get_by_role("link", name="New post")).to_be_visible()


def sign_out(window: ClientWindow) -> None:
    window.page.goto("/settings")
    window.button("Sign out").click()
    expect(window.page.get_by_role("link", name="Create an account")).to_be_visible()


def mailed_link(stack: LiveStack, address: str, path: str) -> str:
    """Return the link to a page of the client from the only mail to an address that has one."""
    recipient, link = f"To: {address}".encode(), f"{stack.base_url}{path}#".encode()

    def find() -> list[bytes]:
        mails = [file.read_bytes() for file in (stack.data_dir / "mail").iterdir()]
        return [mail for mail in mails if recipient in mail and link in mail]

    eventually(find)
    (mail,) = find()
    return f"{path}#token={token_in(message_from_bytes(mail))}"


def test_register_verify_the_address_and_reset_the_password(open_window: OpenWindow, admin_stack: LiveStack) -> None:
    window = open_window(width=390)
    window.expected_errors.append(REFUSAL)
    page = window.page
    page.goto("/register")
    fill_registration(window, "arrival")
    page.get_by_label("Password").fill("12345678")
    window.button("Create the account").click()
    expect(page.get_by_text("This password is too common.")).to_be_visible()
    expect(page.get_by_label("Password")).to_be_focused()
    page.get_by_label("Password").fill(PASSWORD)
    window.button("Create the account").click()
    expect_feed(window)
    page.reload()
    expect_feed(window)

    page.goto(mailed_link(admin_stack, "arrival@example.com", "/verify-email"))
    expect(page.get_by_text("Your address is verified.")).to_be_visible()
    assert page.url == f"{admin_stack.base_url}/verify-email", "the token has left the address bar"

    sign_out(window)
    page.goto("/forgot-password")
    page.get_by_label("Email address").fill("arrival@example.com")
    window.button("Send the mail").click()
    expect(page.get_by_text("If the address belongs to an account")).to_be_visible()
    page.goto(mailed_link(admin_stack, "arrival@example.com", "/reset-password"))
    page.get_by_label("New password").fill(NEW_PASSWORD)
    window.button("Set the password").click()
    page.get_by_label("Username or email address").fill("arrival")
    page.get_by_label("Password").fill(PASSWORD)
    window.button("Sign in").click()
    expect(page.get_by_text("No account with this username and password.")).to_be_visible()
    page.get_by_label("Password").fill(NEW_PASSWORD)
    window.button("Sign in").click()
    expect_feed(window)


def test_unknown_address_leads_home(open_window: OpenWindow) -> None:
    window = open_window()
    window.expected_errors.append(REFUSAL)
    window.page.goto("/nowhere/at/all")
    expect(window.page.get_by_text("There is nothing here, or you may not see it.")).to_be_visible()
    window.page.get_by_role("main").get_by_role("link", name="Home").click()
    window.page.wait_for_url(window.stack.base_url + "/")


def test_register_by_captcha_where_moderators_approve(open_window: OpenWindow, admin_stack: LiveStack) -> None:
    settings = {"REGISTRATION": "approval", "CAPTCHA": "altcha", "MINIMUM_AGE": "16"}
    with admin_stack.restarted("web", **settings):
        window = open_window()
        window.expected_errors.append(REFUSAL)
        window.page.goto("/register#invite=abcd-efgh")
        with window.page.expect_worker():
            fill_registration(window, "patient")
        expect(window.page.get_by_label("Invite")).to_have_value("abcd-efgh")
        window.page.get_by_label("Date of birth").fill("2020-02-29")
        window.button("Create the account").click()
        expect(window.page.get_by_text("You are too young to register.")).to_be_visible()
        window.page.get_by_label("Date of birth").fill("2000-02-29")
        window.button("Create the account").click()
        expect(window.page.get_by_text("A moderator must approve your account")).to_be_visible()
        window.close()


def test_second_factor(open_window: OpenWindow, user: HttpUser, admin_stack: LiveStack) -> None:
    window = open_window(user)
    window.expected_errors.append(REFUSAL)
    page = window.page
    page.goto("/settings/second-factor")
    page.get_by_label("Current password").fill("wrong")
    window.button("Turn it on").click()
    expect(page.get_by_label("Current password")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Current password").fill(PASSWORD)
    window.button("Turn it on").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    secret = page.locator(".secret").inner_text().replace(" ", "")
    page.get_by_label("Code", exact=True).fill(code_of(secret))
    window.button("Confirm").click()
    expect(page.locator(".codes li")).to_have_count(10)
    window.button("I have kept them").click()
    expect(window.button("Turn it off")).to_be_visible()

    sign_out(window)
    admin_stack.manage("shell", "-c", _FORGET_USED_CODES)
    page.goto("/login")
    page.get_by_label("Username or email address").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    window.button("Sign in").click()
    page.get_by_label("Code").fill(code_of(secret))
    window.button("Sign in").click()
    expect_feed(window)

    admin_stack.manage("shell", "-c", _FORGET_USED_CODES)
    page.goto("/settings/second-factor")
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("Code").fill(code_of(secret))
    window.button("Turn it off").click()
    expect(window.button("Turn it on")).to_be_visible()
    assert user.get("/me")["totp_enabled"] is False


def test_profile_privacy_and_sessions(open_window: OpenWindow, user: HttpUser, other: HttpUser, tmp_path: Path) -> None:
    user.call("POST", f"/users/{other.username}/block")
    picture = tmp_path / "face.jpg"
    picture.write_bytes(jpeg(200, 200))
    window = open_window(user, width=390)
    window.expected_errors.append(REFUSAL)
    page = window.page
    page.goto("/settings/profile")
    page.get_by_label("Picture file").set_input_files(picture)
    expect(window.button("Remove it")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("Ada Lovelace")
    page.get_by_label("Username").fill(other.username)
    window.button("Save").click()
    expect(page.get_by_text("This username is taken.")).to_be_visible()
    page.get_by_label("Username").fill(f"{user.username}.ada")
    window.button("Save").click()
    expect(page.locator(f'nav a[href="/@{user.username}.ada"] img')).to_be_visible()

    page.goto("/settings/privacy")
    page.get_by_label("Private account").check()
    eventually(lambda: user.get("/me")["is_private"])
    window.button(f"Unblock {other.username}").click()
    expect(page.get_by_text("You block no one.")).to_be_visible()
    profile = user.get("/me")
    assert profile["display_name"] == "Ada Lovelace"
    assert profile["avatar_url"]
    assert user.get("/me/blocks")["results"] == []

    page.goto("/settings/sessions")
    expect(page.get_by_text("This session")).to_be_visible()
    page.get_by_role("button", name="End the session").click()  # that of the API
    expect(page.get_by_text("The session has ended.")).to_be_visible()
    assert user.call("GET", "/me").status_code == 401
    page.reload()
    expect(page.get_by_role("listitem").filter(has_text="signed in")).to_have_count(1)


def test_json_export_may_take_longer_than_other_calls(open_window: OpenWindow, user: HttpUser) -> None:
    window = open_window(user)
    page = window.page
    page.goto("/settings/data")
    expect(window.button("Make a ZIP file")).to_be_enabled()
    calls: list[Route] = []
    page.route("**/api/v1/me/export", lambda route: calls.append(route))
    page.evaluate(SHORTEN_TIMEOUT)
    with page.expect_download() as download:
        window.button("Download as JSON").click()
        eventually(lambda: page.evaluate("true") and calls)
        page.evaluate("new Promise((resolve) => AbortSignal.timeout().addEventListener('abort', resolve))")
        calls[0].continue_()
    assert download.value.suggested_filename == f"{user.username}.json"
    assert len(calls) == 1


def test_download_the_data_and_delete_the_account(open_window: OpenWindow, user: HttpUser) -> None:
    window = open_window(user)
    window.expected_errors.append(REFUSAL)
    page = window.page
    page.goto("/settings/data")
    with page.expect_download() as download:
        window.button("Download as JSON").click()
    profile, *_ = json.loads(download.value.path().read_text())["profile"]
    assert profile["username"] == user.username
    window.button("Make a ZIP file").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    with ZipFile(download.value.path()) as archive:
        assert "export.json" in archive.namelist()

    page.goto("/settings/delete")
    page.get_by_label("Password").fill("wrong")
    window.button("Delete my account").click()
    expect(page.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Password").fill(PASSWORD)
    window.button("Delete my account").click()
    expect(page.get_by_text("Your account is deleted.")).to_be_visible()
    page.reload()
    expect(page.get_by_role("link", name="Create an account")).to_be_visible()
    assert user.call("GET", "/me").status_code == 401


def test_notifications(open_window: OpenWindow, user: HttpUser, other: HttpUser) -> None:
    post_id = user.create_post("to be liked")
    other.call("POST", f"/posts/{post_id}/like")
    user.call("PATCH", "/me", json={"is_private": True})
    other.call("POST", f"/users/{user.username}/follow")
    eventually(lambda: user.get("/notifications/unread-count")["count"] == 2)

    window = open_window(user, width=390)
    page = window.page
    expect(page.get_by_label("2 unread")).to_be_visible()
    page.get_by_role("link", name="Notifications").click()
    like = page.get_by_role("article").filter(has_text=f"{other.username} liked your post")
    expect(like).to_contain_text("New:")
    eventually(lambda: user.get("/notifications/unread-count")["count"] == 0)
    expect(page.locator(".badge")).to_have_count(0)
    window.button(f"Accept {other.username}").click()
    expect(page.get_by_text("asks to follow you")).to_have_count(0)
    assert other.get(f"/users/{user.username}")["relationship"]["following"] is True

    page.reload()
    expect(like).not_to_contain_text("New:")
    page.get_by_role("link", name="Likes").click()
    like.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_text("There is nothing here yet.")).to_be_visible()
    eventually(lambda: user.get("/notifications?kind=like")["results"] == [])
    page.get_by_role("link", name="Follow requests").click()
    expect(page.get_by_text("No one waits for your answer.")).to_be_visible()
