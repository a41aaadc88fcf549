from django.apps import AppConfig


class FeedsConfig(AppConfig):
    name = "feeds"

    def ready(self) -> None:
        from feeds import (
            metrics,
            personal_data,
            receivers,  # noqa: F401  (connects the receivers)
        )
        from instafeed.core.monitoring import exporter

        personal_data.register_categories()
        exporter.register_probe("fan_outs", metrics.fan_out_gauges)
