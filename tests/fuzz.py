"""Fuzz the API from its strict OpenAPI document: no response may be a 5xx or violate the document.

    python -m tests.fuzz [--examples N] [--seed N] [schemathesis options]

Runs schemathesis with all its checks against a throw-away stack with a few users: once signed in, once anonymous.
`schemathesis.toml` lists the exceptions from the checks, with reasons.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from instafeed.devstack.state import PROJECT_ROOT
from tests.support.live_stack import LiveStack
from tests.support.prebuilt_data import prebuilt_services

PASSWORD = "a moth in relay 70"
STRICT_GENERATOR = "instafeed.core.api.openapi.public_document.StrictSchemaGenerator"
RUN_TIMEOUT = 4 * 3600  # seconds for a run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--examples", type=int, default=100, help="maximum number of requests of each kind for each operation"
    )
    parser.add_argument("--seed", type=int, help="repeat an earlier run")
    options, more = parser.parse_known_args()
    more += [f"--max-examples={options.examples}", *([] if options.seed is None else [f"--seed={options.seed}"])]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # end the stack too
    with prebuilt_services() as services, LiveStack(services, web_workers=1, celery_workers=1) as stack:
        token = populate(stack)
        write_document(stack)
        runs = {"signed in": ["--header", f"Authorization: Bearer {token}"], "anonymous": []}
        failed = [name for name, headers in runs.items() if not fuzz(stack, name, [*headers, *more])]
    return 1 if failed else 0


def write_document(stack: LiveStack) -> None:
    """Write the document with all rules, which the public one at /schema lacks."""
    options = ("--generator-class", STRICT_GENERATOR, "--format", "openapi-json", "--file", str(document_path(stack)))
    stack.manage("spectacular", *options)


def document_path(stack: LiveStack) -> Path:
    return stack.data_dir / "strict-openapi.json"


def populate(stack: LiveStack) -> str:
    """Create three users who follow each other, with posts, comments and likes; return ada's access token."""
    tokens = {name: _register(stack, name) for name in ("ada", "grace", "alan")}

    def call(name: str, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {tokens[name]}"}
        response = stack.client.request(method, f"/api/v1{path}", json=body, headers=headers)
        assert response.is_success, response.text
        return response.json() if response.content else None

    call("ada", "PATCH", "/me", {"is_private": True})
    for name in ("grace", "alan"):
        call(name, "POST", "/users/ada/follow")
        call("ada", "POST", f"/users/{name}/follow")
        post = call(name, "POST", "/posts", {"caption": "The harbour tonight #sunset, with @ada"})
        comment = call("ada", "POST", f"/posts/{post['id']}/comments", {"text": "What a sky!"})
        call(name, "POST", f"/comments/{comment['id']}/like")
    return tokens["ada"]


def _register(stack: LiveStack, username: str) -> str:
    body = {"username": username, "email": f"{username}@mail.example", "password": PASSWORD}
    response = stack.post("/api/v1/auth/register", json=body)
    assert response.status_code == 201, response.text
    token: str = response.json()["access"]
    return token


def fuzz(stack: LiveStack, name: str, options: list[str]) -> bool:
    """Run schemathesis; print one line, or its whole output on failure. Return whether it found nothing."""
    began = time.monotonic()
    program = Path(sys.executable).with_name("schemathesis")
    command = [
        str(program),
        "run",
        str(document_path(stack)),
        f"--url={stack.base_url}",
        "--generation-database=none",
        "--suppress-health-check=too_slow",  # says how busy the machine is
        "--request-timeout=100",
        *options,
    ]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=RUN_TIMEOUT)
    print(f"Fuzzed {name}: {'nothing found' if not done.returncode else 'FAILED'}, {time.monotonic() - began:.0f} s")
    if done.returncode:
        print(done.stdout + done.stderr + stack.logs())
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
