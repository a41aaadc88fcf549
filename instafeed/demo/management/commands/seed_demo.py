"""`manage.py seed_demo`: fill a new database with the demo network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connection, transaction

from instafeed.core.db import bulk_load
from instafeed.core.management.base import OperatorCommand, usage_error, whole_number
from instafeed.demo import pictures, seed_marker
from instafeed.demo.loader import Loader
from instafeed.demo.network import MIN_USERS, Recipe
from instafeed.devstack.demo_credentials import ADMIN_PASSWORD, DEMO_PASSWORD, DEMO_USERNAME
from social.models import Follow

DEFAULT_RECIPE = Recipe()


class Command(OperatorCommand):
    """Runs in one transaction, so an interrupted run can be repeated.

    Meanwhile registrations fail and follows wait for the lock on the user table: use it on a new stack only.
    """

    help = (
        "Fill a new database with a realistic network: heavy-tailed follows, posts of the last 30 days in eight "
        "languages, pictures for the newest 200. The same --seed and sizes give the same people, follows, captions "
        "and pictures. A second run changes nothing. Staff may exist before, and keep their accounts; "
        "a database with other users is refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        number = whole_number(0, 100_000_000)
        parser.add_argument(
            "--users", type=whole_number(MIN_USERS, 5_000_000), default=DEFAULT_RECIPE.users, metavar="N"
        )
        parser.add_argument("--follows", type=number, default=DEFAULT_RECIPE.follows, metavar="N")
        parser.add_argument("--posts", type=number, default=DEFAULT_RECIPE.posts, metavar="N")
        parser.add_argument(
            "--celebrities", type=number, default=DEFAULT_RECIPE.celebrities, metavar="N",
            help="how many of the most followed users are celebrities even below CELEBRITY_THRESHOLD",
        )  # fmt: skip
        parser.add_argument("--seed", type=number, default=DEFAULT_RECIPE.seed, metavar="N")
        parser.add_argument("--photos", type=Path, metavar="DIR", help="use the pictures in this folder")

    def handle(self, *, photos: Path | None, **options: Any) -> str:
        recipe = Recipe(**{name: options[name] for name in ("users", "follows", "posts", "celebrities", "seed")})
        if problem := recipe.problem():
            raise usage_error(problem)
        if photos is not None and not os.path.isdir(photos):
            raise usage_error(f"cannot read {photos}: not a folder")
        self.stdout.write(
            f"Seeding {recipe.users:,} users, {recipe.follows:,} follows and {recipe.posts:,} posts "
            f"(seed {recipe.seed})."
        )
        try:
            if seed_marker.is_already_seeded(recipe):
                return "Already seeded; nothing to do."
            if self.dry_run:
                return "Dry run: the database would be filled; nothing was written."
            album = self._album(recipe.seed, photos)
            with transaction.atomic():
                seed_marker.lock_user_table()
                if seed_marker.is_already_seeded(recipe):
                    return "Already seeded; nothing to do."
                loader = self._load(recipe, album)
                seed_marker.write_marker(recipe)
        except seed_marker.SeedingRefused as refusal:
            raise CommandError(str(refusal)) from None
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        return self._summary(loader)

    def _album(self, seed: int, folder: Path | None) -> list[pictures.DemoPicture]:
        if folder is None:
            return pictures.draw_landscapes(seed)
        try:
            album = pictures.read_photographs(Path(folder), self.stderr.write)
        except OSError as error:
            raise CommandError(f"cannot read {folder}: {error.strerror}") from None
        if not album:
            raise usage_error(f"{folder} holds no usable picture")
        return album

    def _load(self, recipe: Recipe, album: list[pictures.DemoPicture]) -> Loader:
        loader = Loader(recipe, album)
        with bulk_load.without_indexes(Follow._meta.db_table):
            with self.progress("follows", recipe.follows) as progress:
                loader.load_follows(progress)
            with self.progress("posts", recipe.posts) as progress:
                loader.load_posts(progress)
            with self.progress("users", recipe.users) as progress:
                loader.load_users(progress)
            self.stdout.write("building indexes and foreign keys …")
        loader.load_fan_outs()
        with self.progress("hashtags") as progress:
            loader.load_hashtags(progress)
        loader.load_engagement()
        with self.progress("posts with pictures", min(recipe.posts, 200)) as progress:
            loader.load_pictures(progress)
        return loader

    def _summary(self, loader: Loader) -> str:
        network = loader.network
        celebrities = sum(map(network.is_celebrity, range(network.recipe.people)))
        users = network.recipe.people + len(loader.staff)
        staff = f", {', '.join(loader.staff)} / {ADMIN_PASSWORD}" if loader.staff else ""
        return (
            f"Seeded {users:,} users ({celebrities:,} celebrities), {network.recipe.follows:,} follows, "
            f"{network.recipe.posts:,} posts. Sign in as {DEMO_USERNAME} / {DEMO_PASSWORD}{staff}."
        )
