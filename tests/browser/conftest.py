"""One running stack with the demo network, and one headless Chromium: the system's, driven by Playwright.

Without Chromium the tests are skipped. With BROWSER_TESTS=required (as in continuous integration) they fail. With
SCREENSHOTS=DIR the README's screenshots are written to that directory.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.staff_users import StaffUser, create_staff_users
from tests.support.live_stack import LiveStack
from tests.support.prebuilt_data import prebuilt_services

_HERE = Path(__file__).parent
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_TIMEOUT = 100_000  # milliseconds
expect.set_options(timeout=_TIMEOUT)  # the machine may be busy
# The last two options prevent connections to Google.
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")

# Insert one day of samples for the dashboard. The newest sample is real.
_INSERT_SAMPLES = """
import math
from datetime import timedelta
from instafeed.backoffice.models import Sample
from instafeed.backoffice.tasks import take_sample
take_sample()
real = Sample.objects.latest("at")
def at(minute, metrics):
    day = 1.2 + math.sin(minute / 229)
    jitter = 0.8 + (minute * 7919 % 100) / 250
    # None: no fan-out has ended in this minute.
    typical = {name: 0.3 if value is None else value or 3 for name, value in metrics.items()}
    return {name: round(value * day * jitter, 3) for name, value in typical.items()}
Sample.objects.bulk_create(
    (Sample(at=real.at - timedelta(minutes=minute), metrics=at(minute, real.metrics))
     for minute in range(1, 1440) if not 700 < minute < 760),
    ignore_conflicts=True,
)
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these tests together, and first of all mark them, because xdist reads the marks."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))
            item.add_marker(pytest.mark.timeout(600))
    items.sort(key=lambda item: _HERE in item.path.parents)


@pytest.fixture(scope="package")
def admin_stack() -> Iterator[LiveStack]:
    """A stack with the demo network, so that lists have realistic content."""
    with prebuilt_services() as services, LiveStack(services, celery_workers=1) as stack:
        stack.manage("seed_demo")
        yield stack


@pytest.fixture(scope="package")
def staff(admin_stack: LiveStack) -> dict[str, StaffUser]:
    """By username."""
    return create_staff_users(admin_stack)


@pytest.fixture(scope="package")
def samples(admin_stack: LiveStack) -> None:
    """A day of samples for the dashboard."""
    admin_stack.manage("shell", "-c", _INSERT_SAMPLES)


# While Playwright runs, its event loop runs in this thread, and Django refuses all queries there. So it ends with the
# tests of this package.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
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
def console_errors() -> list[str]:
    """The errors in the window's console. A test removes those that it expects."""
    return []


@pytest.fixture
def page(chromium: Browser, admin_stack: LiveStack, console_errors: list[str]) -> Iterator[Page]:
    """A window. The test fails if its console has errors."""
    context = chromium.new_context(base_url=admin_stack.base_url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(_TIMEOUT)
    page = context.new_page()
    page.on("console", lambda message: console_errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: console_errors.append(str(error)))
    yield page
    context.close()
    # A 40x page is also logged in the console.
    assert [error for error in console_errors if "status of 40" not in error] == []


@pytest.fixture
def shoot(page: Page, tmp_path: Path) -> Callable[[str], None]:
    """`shoot("queue")` writes a screenshot to queue.png."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)

    def take(name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")
        assert (folder / f"{name}.png").stat().st_size > 5_000

    return take
