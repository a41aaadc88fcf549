"""What a server checks before it starts. A mistake that stops it is one line instead of a traceback; others are logged.

The web server, the process for streams, Celery's workers and beat call this. Management commands do not: many need no
service.

`python -m instafeed.core.startup` runs the checks of the web server, for gunicorn's master.
"""

from __future__ import annotations

import logging
import os
from errno import EACCES
from pathlib import Path

from django.conf import settings
from django.utils.log import configure_logging

from instafeed.core import deployment_checks, env

logger = logging.getLogger("instafeed.core.startup")


def require_services() -> None:
    """Refuse an environment without services. Raises SystemExit with one line."""
    if settings.OFFLINE:
        raise SystemExit(f"instafeed: {deployment_checks.NO_SERVICES}")


def check_web_server() -> None:
    """Check all that a process which serves requests needs. Raises SystemExit with one line."""
    require_services()
    require_media_directory()
    log_mistakes()


def log_mistakes() -> None:
    """Log a warning for settings that do not fit together. Call it once logging is set up."""
    for message in deployment_checks.check_settings():
        logger.warning("%s. %s", message.msg, message.hint)


def require_media_directory() -> None:
    """Create MEDIA_ROOT if it is missing. With a bucket it holds the files in progress. Raises SettingError."""
    _require_directory("MEDIA_ROOT", settings.MEDIA_ROOT)


def require_mail_directory() -> None:
    """Create the directory of EMAIL_URL=file:/directory if it is missing. Raises SettingError."""
    if settings.EMAIL_FILE_PATH:
        _require_directory("EMAIL_URL", settings.EMAIL_FILE_PATH, mode=0o700)  # mails contain tokens


def require_place_for(option: str, file: str) -> None:
    """Refuse the path of a file that cannot be created. `option` is what the operator typed. Raises SettingError."""
    directory = Path(file).absolute().parent
    try:
        _require_writable(directory)
    except OSError as error:
        raise env.SettingError(option, f"{file} cannot be written: {directory}: {error.strerror}") from None


def _require_directory(name: str, directory: str, mode: int = 0o777) -> None:
    try:
        Path(directory).mkdir(mode, parents=True, exist_ok=True)
        _require_writable(Path(directory))
    except OSError as error:
        raise env.SettingError(name, f"{directory} cannot be used: {error.strerror}") from None


def _require_writable(directory: Path) -> None:
    """Raise OSError unless files can be created in this directory."""
    os.listdir(directory)  # an error if there is no such directory
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(EACCES, os.strerror(EACCES))


if __name__ == "__main__":
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    check_web_server()
