from django.apps import AppConfig


class MediaConfig(AppConfig):
    name = "media"

    def ready(self) -> None:
        from accounts import avatars
        from media import avatars as copies
        from media import personal_data, relocation, unpublish  # noqa: F401  (both connect their receivers)

        personal_data.register_categories()
        avatars.register_storage(copies)
