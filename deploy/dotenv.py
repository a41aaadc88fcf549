"""Writes .env from .env.example, with a random text for each secret. Needs nothing but Python.

A file that exists is left alone: the databases were made with its passwords.
"""

import argparse
import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECRET = re.compile(r"^([A-Z_]+)= # secret$", re.MULTILINE)


def random_value(line: re.Match[str]) -> str:
    """Hexadecimal: they become parts of URLs, words of commands, and MinIO takes 40 characters at most."""
    return f"{line[1]}={secrets.token_hex(32 if line[1] == 'SECRET_KEY' else 20)}"


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--local", action="store_true", help="to look at it on this machine: HTTPS_ONLY=false")
parser.add_argument("file", type=Path, nargs="?", default=ROOT / ".env")
options = parser.parse_args()
text = SECRET.sub(random_value, (ROOT / ".env.example").read_text())
if options.local:
    text = text.replace("\nHTTPS_ONLY=true\n", "\nHTTPS_ONLY=false\n")
try:
    descriptor = os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
except OSError as error:
    sys.exit(f"dotenv: {options.file} is not written: {error.strerror}")
with open(descriptor, "w") as file:
    file.write(text)
