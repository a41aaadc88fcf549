from django.apps import AppConfig


class InstafeedConfig(AppConfig):
    """What every app shares: ids made by the database, keys, leases, the invalidation outbox."""

    name = "instafeed"
    verbose_name = "instafeed"

    def ready(self) -> None:
        from instafeed import checks  # noqa: F401  (registers the start-up checks)
