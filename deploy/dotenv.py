"""Write .env from .env.example, with a random value for each secret. Needs Python only.

An existing file is not overwritten, as the databases were created with its passwords.
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
    """Return a hexadecimal value: it is used in URLs and commands, and MinIO takes at most 40 characters."""
    return f"{line[1]}={secrets.token_hex(32 if line[1] == 'SECRET_KEY' else 20)}"


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--local", action="store_true", help="for a trial on this machine: HTTPS_ONLY=false")
parser.add_argument("file", type=Path, nargs="?", default=ROOT / ".env")
options = parser.parse_args()
text = SECRET.sub(random_value, (ROOT / ".env.example").read_text(encoding="utf-8"))
if options.local:
    text = text.replace("\nHTTPS_ONLY=true\n", "\nHTTPS_ONLY=false\n")
try:
    descriptor = os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
except OSError as error:
    sys.exit(f"dotenv: cannot write {options.file}: {error.strerror}")
with open(descriptor, "w", encoding="utf-8") as file:
    file.write(text)
