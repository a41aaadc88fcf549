from django.apps import AppConfig


class CoreConfig(AppConfig):
    """What every app shares: ids made by the database, keys, leases, the invalidation outbox."""

    name = "instafeed.core"

    def ready(self) -> None:
        from instafeed.core import checks  # noqa: F401  (registers the start-up checks)
