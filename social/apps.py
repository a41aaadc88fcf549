from django.apps import AppConfig


class SocialConfig(AppConfig):
    name = "social"

    def ready(self) -> None:
        from social import (
            personal_data,
            receivers,  # noqa: F401  (connects them)
        )

        personal_data.register_categories()
