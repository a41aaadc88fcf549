from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "instafeed.exports"
    label = "exports"

    def ready(self) -> None:
        from instafeed.exports import personal_data

        personal_data.register_categories()
