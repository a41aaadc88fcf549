from django.apps import AppConfig


class FeedsConfig(AppConfig):
    name = "feeds"

    def ready(self) -> None:
        from feeds import (
            personal_data,
            signals,  # noqa: F401  (connects the receivers)
        )

        personal_data.declare()
