from django.apps import AppConfig


class MediaConfig(AppConfig):
    name = "media"

    def ready(self) -> None:
        from accounts.avatar_storage import register_storage
        from media import avatars, personal_data, relocation, unpublish  # noqa: F401  (the last two connect receivers)

        personal_data.register_categories()
        register_storage(avatars)
