from django.apps import AppConfig


class MediaConfig(AppConfig):
    name = "media"

    def ready(self) -> None:
        from accounts import avatars
        from media import personal_data, selectors

        personal_data.declare()
        avatars.register(selectors.own_picture)
