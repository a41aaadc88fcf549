"""Encrypt stored secrets with the current SECRET_KEY."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from accounts import second_factor
from instafeed.core.management.base import OperatorCommand

BATCH_SIZE = 500  # secrets


class Command(OperatorCommand):
    help = (
        "Encrypt the secrets of second factors with the current SECRET_KEY. Run it after a change of SECRET_KEY, while "
        "SECRET_KEY_FALLBACKS holds the former key. Safe while the site runs."
    )

    def handle(self, **options: Any) -> str:
        total = second_factor.get_with_old_keys().count()
        self.stdout.write(f"Encrypting {total:,} secrets with the current key.")
        if self.dry_run:
            return f"Dry run: would encrypt {total:,} secrets; nothing was changed."
        failed = done = after = 0
        with self.progress("encrypted", total) as progress:
            while batch := self._next_batch(after):
                failed += second_factor.encrypt_again(batch)
                after, done = batch[-1], done + len(batch)
                progress.add(len(batch))
        if failed:
            raise CommandError(f"{failed:,} secrets need a former SECRET_KEY: add it to SECRET_KEY_FALLBACKS")
        return f"Encrypted {done:,} secrets with the current key."

    def _next_batch(self, after: int) -> list[int]:
        rows = second_factor.get_with_old_keys().filter(pk__gt=after).order_by("pk")
        return list(rows.values_list("pk", flat=True)[: self.batch_size(BATCH_SIZE)])
