from django.apps import AppConfig


class FeedsConfig(AppConfig):
    name = "feeds"

    def ready(self) -> None:
        from feeds import (
            backlog,
            personal_data,
            signals,  # noqa: F401  (connects the receivers)
        )
        from instafeed import scrape

        personal_data.declare()
        scrape.probe("fan_outs", backlog.gauges)
