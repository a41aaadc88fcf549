"""Prints .env.example with a random text for each secret: `python3 deploy/dotenv.py > .env`.

Needs nothing but Python. Other values stay as they are; a line for a team to look at is HTTPS_ONLY.
"""

import re
import secrets
import sys
from pathlib import Path

SECRET = re.compile(r"^([A-Z_]+)= # secret$", re.MULTILINE)

example = (Path(__file__).parents[1] / ".env.example").read_text()
# Hexadecimal: they become parts of URLs, words of commands, and MinIO takes 40 characters at most.
sys.stdout.write(
    SECRET.sub(lambda line: f"{line[1]}={secrets.token_hex(32 if line[1] == 'SECRET_KEY' else 20)}", example)
)
