from django.apps import AppConfig


class MediaConfig(AppConfig):
    name = "media"

    def ready(self) -> None:
        from accounts import avatars
        from media import avatars as avatar_storage
        from media import personal_data, relocation, unpublish  # noqa: F401  (both connect receivers)

        personal_data.register_categories()
        avatars.register_storage(avatar_storage)
