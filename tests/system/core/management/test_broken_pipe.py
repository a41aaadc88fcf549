"""`manage.py … | head` ends without a message when `head` has ended."""

from __future__ import annotations

import json
import subprocess
import sys

from instafeed.devstack.state import PROJECT_ROOT
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack
from tests.support.processes import clean_environment

STATUS = 141
# Runs each command in a fork, whose output no process reads, and prints its status and its errors.
SCRIPT = """
import json, os, sys
import django
import manage

django.setup()
results = []
for arguments in json.loads(sys.argv[1]):
    reader, output = os.pipe()
    os.close(reader)
    errors, write_errors = os.pipe()
    pid = os.fork()
    if not pid:
        os.dup2(output, 1)
        os.dup2(write_errors, 2)
        sys.argv = ["manage.py", *arguments]
        manage.main()
        sys.exit(0)
    os.close(output)
    os.close(write_errors)
    with open(errors) as file:
        text = file.read()
    results.append([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text])
print(json.dumps(results))
"""


def run_all(stack: LiveStack, commands: list[list[str]]) -> list[list[object]]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        cwd=PROJECT_ROOT,
        env=clean_environment(**stack.environment, DJANGO_SETTINGS_MODULE="instafeed.settings"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    results: list[list[object]] = json.loads(done.stdout)
    return results


def test_help_ends_without_a_message(live_stack: LiveStack) -> None:
    commands = [[name, "--help"] for name in ("stack", "migrate", "verify_feeds", "enroll_otp")]
    results = run_all(live_stack, commands)
    assert [errors for _, errors in results] == [""] * len(commands)
    assert {status for status, _ in results} <= {0, STATUS}, "argparse itself ignores that its help was not read"


def test_commands_that_work_end_without_a_message(live_stack: LiveStack) -> None:
    name = HttpUser(live_stack).username
    commands = [
        *(["seed_demo"], ["import_follows", __file__], ["backfill_feeds", "--all"], ["reclassify_celebrities"]),
        *(["verify_feeds"], ["reconcile_counters"], ["resume_fan_outs"], ["maintain_partitions"]),
        *(["reencrypt_secrets"], ["create_invite"], ["create_user", "grace"], ["reset_password", name]),
        *(["suspend_user", name, "--reason=x"],),
    ]
    dry_runs = [[*command, "--dry-run"] for command in commands]
    assert run_all(live_stack, dry_runs) == [[STATUS, ""]] * len(commands)
    assert run_all(live_stack, [["showmigrations"], ["check"]]) == [[STATUS, ""]] * 2, "Django's own"
