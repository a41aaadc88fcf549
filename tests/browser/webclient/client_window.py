"""A window of the web client."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Route, expect

from instafeed.devstack.demo_credentials import DEMO_PASSWORD, DEMO_USERNAME
from tests.support.http_user import PASSWORD
from tests.support.live_stack import LiveStack

DOUBLE_TAP = "element => { element.click(); element.click(); }"  # at once, however busy the machine is
FAILED_REQUEST = "Failed to load resource"  # in the console
# Makes the client give up calls that begin from now on after half a second.
SHORTEN_TIMEOUT = "{ const timeout = AbortSignal.timeout; AbortSignal.timeout = () => timeout.call(AbortSignal, 500); }"
_TIMEOUT = 100_000  # milliseconds
_HEIGHTS = {390: 844, 1280: 900}
_SERIOUS = ("serious", "critical")


class ClientWindow:
    """A browser context with one page.

    The test fails if the console has errors, but for those that contain one of the texts in `expected_errors`. Routes
    of `page` do not see what the service worker fetches (`KEPT_CALLS` in service-worker.js), unless it is turned off.
    """

    def __init__(
        self, chromium: Browser, stack: LiveStack, *, width: int, scheme: str, has_service_worker: bool = True
    ) -> None:
        self.stack = stack
        self.expected_errors = ["ERR_INTERNET_DISCONNECTED"]
        self._errors: list[str] = []
        color: Literal["dark", "light"] = "dark" if scheme == "dark" else "light"
        self.context = chromium.new_context(
            base_url=stack.base_url,
            viewport={"width": width, "height": _HEIGHTS[width]},
            color_scheme=color,
            has_touch=width < 600,
            service_workers="allow" if has_service_worker else "block",
        )
        # The stream has a port of its own, and Chromium sometimes takes a page of the service worker for a public one.
        self.context.grant_permissions(["local-network-access"])
        self.context.set_default_timeout(_TIMEOUT)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self._errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self._errors.append(str(error)))

    def unexpected_errors(self) -> list[str]:
        return [error for error in self._errors if not any(text in error for text in self.expected_errors)]

    def close(self) -> None:
        self.context.close()

    def sign_in(self, username: str, password: str = "") -> None:
        """Sign in and wait for the feed."""
        known = {DEMO_USERNAME: DEMO_PASSWORD}
        self.page.goto("/login")
        self.page.get_by_label("Username or email address").fill(username)
        self.page.get_by_label("Password").fill(password or known.get(username, PASSWORD))
        self.button("Sign in").click()
        self.page.wait_for_url(self.stack.base_url + "/")
        expect(self.page.locator(".endless[aria-busy=false]")).to_be_visible()

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def post(self, post_id: str) -> Locator:
        return self.page.locator("article.post").filter(has=self.page.locator(f'a[href="/p/{post_id}"]'))

    def settle(self) -> None:
        """Wait until what the page shows has loaded."""
        expect(self.page.locator("main .loading, main .endless[aria-busy=true]")).to_have_count(0)
        expect(self.page.locator("main > *").first).to_be_visible()

    def serious_findings(self) -> list[str]:
        """Return what axe-core finds on the page: rule and elements."""
        found = Axe().run(self.page)
        return [
            f"{each['id']}: {[node['target'] for node in each['nodes']]}"
            for each in found.response["violations"]
            if each["impact"] in _SERIOUS
        ]

    def wait_for_service_worker(self) -> None:
        """Wait until the service worker makes the calls of the page."""
        self.page.wait_for_function("navigator.serviceWorker.controller !== null")

    def wait_until_kept(self, path: str) -> None:
        """Wait until the service worker keeps an answer, which it does after it has passed the answer on."""
        self.page.wait_for_function("async path => Boolean(await caches.match(path, { cacheName: 'data' }))", arg=path)

    def wait_until_drafted(self, text: str) -> None:
        """Wait until the draft of a post contains a text: it is written after the page has shown the text."""
        self.page.wait_for_function("text => localStorage.draft?.includes(text)", arg=text)

    def is_wider_than_window(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))

    def shoot(self, name: str) -> None:
        """Write a picture for the README if SCREENSHOTS names a directory."""
        if folder := os.environ.get("SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}.png")


def expect_visitor(page: Page) -> None:
    """Wait until the page has loaded for a visitor who is not signed in."""
    expect(page.get_by_role("link", name="Create an account")).to_be_visible()


def refuse(route: Route) -> None:
    """Answer a request as an overloaded site does."""
    error = {"code": "service_unavailable", "detail": "Not now.", "attr": None}
    route.fulfill(status=503, json={"type": "server_error", "errors": [error]})
