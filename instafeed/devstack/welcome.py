"""What `manage.py stack` prints when everything runs: the URLs, and how to sign in."""

from __future__ import annotations

from collections.abc import Collection

from instafeed.devstack.demo_credentials import ADMIN_PASSWORD, DEMO_PASSWORD, DEMO_USERNAME, STAFF

_FEED_EXAMPLE = """\
curl -s {base}/api/v1/feed -H "Authorization: Bearer $(
  curl -s {base}/api/v1/auth/token -H 'Content-Type: application/json' \\
    -d '{{"username": "{user}", "password": "{password}"}}' | sed 's/.*"access": *"\\([^"]*\\)".*/\\1/')"
"""


def welcome_text(port: int, demo_names: Collection[str]) -> str:
    """Return the text. `demo_names` are the accounts that can sign in with the demo's passwords."""
    base = f"http://127.0.0.1:{port}"
    text = f"\nRunning.  Open {base}/   API {base}/api/v1/   docs {base}/docs   admin {base}/admin/"
    if staff := [name for name in STAFF if name in demo_names]:
        text += f"\nSign in to the admin as {', '.join(staff)} / {ADMIN_PASSWORD}."
    if DEMO_USERNAME in demo_names:
        text += (
            f"\nSign in as {DEMO_USERNAME} / {DEMO_PASSWORD}. This prints the demo user's feed, pushed and pulled:\n\n"
        ) + _FEED_EXAMPLE.format(base=base, user=DEMO_USERNAME, password=DEMO_PASSWORD)
    return text
