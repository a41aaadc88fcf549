"""A headless Chromium in front of a running stack: the system's Chromium, driven by Playwright.

Without Chromium the tests are skipped. With BROWSER_TESTS=required (as in continuous integration) they fail. With
SCREENSHOTS=DIR the README's screenshots are written to that directory.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.staff_users import StaffUser, create_staff_users
from tests.support.live_stack import LiveStack

_HERE = Path(__file__).parent
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# The last two options prevent connections to Google.
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("admin_stack"))


@pytest.fixture(scope="package")
def admin_stack() -> Iterator[LiveStack]:
    """A stack with the demo network, so that lists have realistic content."""
    stack = LiveStack(None, "--web-workers", "2", "--celery-workers", "1", demo=True)
    try:
        yield stack.start()
    finally:
        stack.close()


@pytest.fixture(scope="package")
def staff(admin_stack: LiveStack) -> dict[str, StaffUser]:
    """By username."""
    return create_staff_users(admin_stack)


# Scope "module": while Playwright runs, its event loop runs in this thread, and Django refuses all queries there. That
# would break the next tests in this process.
@pytest.fixture(scope="module")
def _browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        if os.environ.get("BROWSER_TESTS") == "required":
            pytest.fail("BROWSER_TESTS=required, and there is no Chromium")
        pytest.skip("there is no Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def page(_browser: Browser, admin_stack: LiveStack) -> Iterator[Page]:
    """A window. The test fails if its console has errors."""
    context = _browser.new_context(base_url=admin_stack.base_url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    # A 40x page is also logged in the console.
    assert [error for error in errors if "status of 40" not in error] == []


@pytest.fixture
def shoot(page: Page, tmp_path: Path) -> Iterator[object]:
    """`shoot("queue")` writes a screenshot to queue.png."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)

    def take(name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")
        assert (folder / f"{name}.png").stat().st_size > 5_000

    return take  # type: ignore[return-value]
