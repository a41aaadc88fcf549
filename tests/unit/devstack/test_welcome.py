"""The welcome of `manage.py stack` names only accounts that have the demo's passwords."""

from __future__ import annotations

from instafeed.devstack.demo_credentials import ADMIN_PASSWORD, DEMO_PASSWORD
from instafeed.devstack.welcome import welcome_text


def test_demo_user_and_staff_are_named_with_their_passwords() -> None:
    text = welcome_text(8000, ["demo", "admin", "moderator", "operator"])
    assert f"Sign in as demo / {DEMO_PASSWORD}." in text
    assert f"as admin, moderator, operator / {ADMIN_PASSWORD}." in text


def test_account_with_another_password_is_not_named() -> None:
    text = welcome_text(8000, ["demo", "moderator", "operator"])
    assert f"as moderator, operator / {ADMIN_PASSWORD}." in text
    text = welcome_text(8000, ["demo"])
    assert ADMIN_PASSWORD not in text
    text = welcome_text(8000, ["admin"])
    assert DEMO_PASSWORD not in text


def test_without_the_demo_network_there_are_only_urls() -> None:
    text = welcome_text(8000, [])
    assert "http://127.0.0.1:8000/docs" in text
    assert "Sign in" not in text
