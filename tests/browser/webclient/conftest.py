"""The web client of the one running stack, in windows of its own for each user."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.webclient.client_window import ClientWindow
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

OpenWindow = Callable[..., ClientWindow]


@pytest.fixture
def reader(admin_stack: LiveStack) -> HttpUser:
    return HttpUser(admin_stack)


@pytest.fixture
def author(admin_stack: LiveStack) -> HttpUser:
    return HttpUser(admin_stack)


@pytest.fixture
def user(admin_stack: LiveStack) -> HttpUser:
    return HttpUser(admin_stack)


@pytest.fixture
def other(admin_stack: LiveStack) -> HttpUser:
    return HttpUser(admin_stack)


@pytest.fixture
def open_window(chromium: Browser, admin_stack: LiveStack) -> Iterator[OpenWindow]:
    """`open_window(user)` returns a window of its own, signed in as that user; `width=390` is a phone's.

    At the end the test fails if a window's console has unexpected errors.
    """
    windows: list[ClientWindow] = []

    def open_one(
        user: HttpUser | None = None, *, width: int = 1280, scheme: str = "light", has_service_worker: bool = True
    ) -> ClientWindow:
        window = ClientWindow(chromium, admin_stack, width=width, scheme=scheme, has_service_worker=has_service_worker)
        windows.append(window)
        if user is not None:
            window.sign_in(user.username)
        return window

    yield open_one
    for window in windows:
        window.close()
    assert [error for window in windows for error in window.unexpected_errors()] == []
