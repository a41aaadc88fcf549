"""Hash passwords with Argon2id at the strength that OWASP recommends: about 45 ms of one core.

Django's Argon2 parameters take 100 MB per concurrent sign-in. Its PBKDF2 takes half a second of a core, so a few
sign-ins a second would leave no time for feeds. Hashes of other kinds still verify and are upgraded at the next
sign-in.
"""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class PasswordHasher(Argon2PasswordHasher):
    time_cost = 2
    memory_cost = 19_456  # KiB
    parallelism = 1
