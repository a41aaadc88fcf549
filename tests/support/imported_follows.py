"""Authors on a running stack with more followers than requests could create."""

from __future__ import annotations

import itertools
import tempfile

from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

_numbers = itertools.count(5_000_000)


def register_author(stack: LiveStack) -> HttpUser:
    """Register a user with a name that `import_follows` knows."""
    return HttpUser(stack, f"u{next(_numbers)}")


def import_follows(author: HttpUser, stack: LiveStack, *, followers: int, followees: int = 0) -> None:
    """Have the users u0, u1, … follow the author, who follows the first of them. They are created if missing."""
    number = author.username.removeprefix("u")
    edges = [f"{follower}\t{number}\n" for follower in range(followers)]
    edges += [f"{number}\t{followee}\n" for followee in range(followees)]
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        file.writelines(edges)
        file.flush()
        stack.manage("import_follows", file.name)
