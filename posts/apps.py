from django.apps import AppConfig


class PostsConfig(AppConfig):
    name = "posts"

    def ready(self) -> None:
        from posts import media_pending, personal_data  # noqa: F401  (waiting connects its receiver)
        from posts.moderation import cases  # noqa: F401  (likewise)

        personal_data.register_categories()
