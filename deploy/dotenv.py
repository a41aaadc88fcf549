"""Writes .env from .env.example with a random text for each secret: `python3 deploy/dotenv.py [FILE]`.

Needs nothing but Python. Other values stay as they are; a line for a team to look at is HTTPS_ONLY. A file that exists
is left alone: the databases were made with its passwords.
"""

import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECRET = re.compile(r"^([A-Z_]+)= # secret$", re.MULTILINE)


def drawn(line: re.Match[str]) -> str:
    """Hexadecimal: they become parts of URLs, words of commands, and MinIO takes 40 characters at most."""
    return f"{line[1]}={secrets.token_hex(32 if line[1] == 'SECRET_KEY' else 20)}"


target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".env"
try:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
except OSError as error:
    sys.exit(f"dotenv: {target} is not written: {error.strerror}")
with open(descriptor, "w") as file:
    file.write(SECRET.sub(drawn, (ROOT / ".env.example").read_text()))
