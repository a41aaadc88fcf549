"""How passwords are kept: Argon2id at the strength that OWASP asks for, in about 45 ms of one core.

Django's own parameters take 100 MB for each sign-in under way; its PBKDF2 half a second of a core, so that a few
sign-ins a second would leave nothing for feeds. Hashes of other kinds are still read, and replaced at the next sign-in.
"""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class PasswordHasher(Argon2PasswordHasher):
    time_cost = 2
    memory_cost = 19_456  # KiB
    parallelism = 1
