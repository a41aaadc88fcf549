"""Write .env from .env.example, with a random value for each secret. Needs Python only.

An existing file is not overwritten, as the databases were created with its passwords.
"""

import argparse
import os
import re
import secrets
import sys
from base64 import urlsafe_b64encode
from pathlib import Path
from urllib.parse import urlsplit

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ROOT = Path(__file__).resolve().parents[1]
STATE = "/var/lib/instafeed"  # StateDirectory of deploy/systemd
# Settings of a site by hand that differ from .env.example: its programs are behind nginx, and keep files on the disk.
BY_HAND = {
    "PUBLIC_URL": "http://localhost",
    "BEHIND_PROXY": "true",
    "NUM_PROXIES": "1",
    "SERVE_FILES": "true",
    "MEDIA_ROOT": f"{STATE}/media",
    "INSTAFEED_STATIC_ROOT": f"{STATE}/static",
    "AWS_SECRET_ACCESS_KEY": "",  # only with a bucket
}
HEAD_BY_HAND = """\
# The settings of the units, by docs/deployment.md. docs/configuration.md lists all. An empty value is the same as an
# unset variable. After a change restart the units that use it.
"""
BY_HAND_SERVICES = ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")
SECRET = re.compile(r"^([A-Z_]+)= # secret$", re.MULTILINE)


def random_value(line: re.Match[str]) -> str:
    """Return a hexadecimal value: it is used in URLs and commands, and MinIO takes at most 40 characters.

    Keys of Web Push have a form of their own: a number below the order of the curve P-256.
    """
    if line[1] == "VAPID_PRIVATE_KEY":
        key = secrets.randbelow(P256_ORDER - 1) + 1
        return f"{line[1]}={urlsafe_b64encode(key.to_bytes(32, 'big')).rstrip(b'=').decode()}"
    return f"{line[1]}={secrets.token_hex(32 if line[1] == 'SECRET_KEY' else 20)}"


def for_programs_by_hand(text: str) -> str:
    """Return the file for deploy/systemd: the services of this machine, and no settings of docker-compose.yml."""
    text = text[text.index("\n# --- ") : text.index("\n# --- docker-compose.yml only")] + "\n"
    text = HEAD_BY_HAND + re.sub("^# docker-compose.yml .*\n", "", text, flags=re.MULTILINE)
    for name in BY_HAND_SERVICES:
        text = set_value(text, name, example_value(text, name).replace("PASSWORD", secrets.token_hex(20)))
    for name, value in BY_HAND.items():
        text = set_value(text, name, value)
    return text


def for_origin(text: str, url: str) -> str:
    """Return the file for the site at this origin. Exits if it is none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or url != f"{parts.scheme}://{parts.netloc}":
        sys.exit(f"dotenv: --url must be an origin, as in https://example.org, not {url}")
    text = set_value(text, "PUBLIC_URL", url)
    # Health checks and Prometheus use the addresses.
    text = set_value(text, "ALLOWED_HOSTS", f"{parts.hostname},{example_value(text, 'ALLOWED_HOSTS')}")
    return set_value(text, "HTTPS_ONLY", str(parts.scheme == "https").lower())


def example_value(text: str, name: str) -> str:
    """Return the value of a variable, whose line may be commented out. Exits unless there is exactly one line."""
    values = re.findall(rf"^(?:# )?{name}=(.*)$", text, re.MULTILINE)
    if len(values) != 1:
        sys.exit(f"dotenv: .env.example has {len(values)} lines for {name}")
    return str(values[0])


def set_value(text: str, name: str, value: str) -> str:
    example_value(text, name)
    return re.sub(rf"^(?:# )?{name}=.*$", lambda _: f"{name}={value}", text, flags=re.MULTILINE)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--local", action="store_true", help="for a trial on this machine: HTTPS_ONLY=false")
parser.add_argument(
    "--by-hand", action="store_true", help="for programs without containers (deploy/systemd), with their services here"
)
parser.add_argument("--url", help="the site's origin: sets PUBLIC_URL, ALLOWED_HOSTS and HTTPS_ONLY")
parser.add_argument("file", type=Path, nargs="?", default=ROOT / ".env")
options = parser.parse_args()
text = SECRET.sub(random_value, (ROOT / ".env.example").read_text(encoding="utf-8"))
if options.local:
    text = text.replace("\nHTTPS_ONLY=true\n", "\nHTTPS_ONLY=false\n")
if options.by_hand:
    text = for_programs_by_hand(text)
if options.url:
    text = for_origin(text, options.url)
try:
    descriptor = os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
except OSError as error:
    sys.exit(f"dotenv: cannot write {options.file}: {error.strerror}")
with open(descriptor, "w", encoding="utf-8") as file:
    file.write(text)
