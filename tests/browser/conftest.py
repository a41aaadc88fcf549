"""A headless Chromium before a running stack: the system's own, driven by Playwright.

Without a Chromium the tests are skipped, but where BROWSER_TESTS=required (as in continuous integration) they fail.
With SCREENSHOTS=DIR the pictures that the README shows are written there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.staff_users import StaffUser, create_staff_users
from tests.live_stack import LiveStack

_HERE = Path(__file__).parent
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# The last ones keep it from looking for its maker's servers.
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("admin_stack"))


@pytest.fixture(scope="package")
def admin_stack() -> Iterator[LiveStack]:
    """With the demo network, so that lists look as they do where people are."""
    stack = LiveStack(None, "--web-workers", "2", "--celery-workers", "1", demo=True)
    try:
        yield stack.start()
    finally:
        stack.close()


@pytest.fixture(scope="package")
def staff(admin_stack: LiveStack) -> dict[str, StaffUser]:
    """By username."""
    return create_staff_users(admin_stack)


# Not of the session: while Playwright is at work its event loop runs in this thread, and Django refuses every query
# there, those of the tests that come next in this process, too.
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
    """A window of its own, whose console says no word of what the page was forbidden."""
    context = _browser.new_context(base_url=admin_stack.base_url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    # A page that is refused says so in the console, too.
    assert [complaint for complaint in complaints if "status of 40" not in complaint] == []


@pytest.fixture
def shoot(page: Page, tmp_path: Path) -> Iterator[object]:
    """`shoot("queue")` writes a screenshot of the window."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)

    def take(name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")
        assert (folder / f"{name}.png").stat().st_size > 5_000

    return take  # type: ignore[return-value]
