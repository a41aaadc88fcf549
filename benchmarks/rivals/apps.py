from django.apps import AppConfig


class RivalsConfig(AppConfig):
    name = "benchmarks.rivals"

    def ready(self) -> None:
        from actstream import registry

        registry.register("accounts.User", "posts.Post")
