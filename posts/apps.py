from django.apps import AppConfig


class PostsConfig(AppConfig):
    name = "posts"

    def ready(self) -> None:
        from posts import media_pending, personal_data  # noqa: F401  (media_pending connects its receiver)
        from posts.moderation import cases  # noqa: F401  (connects its receiver)

        personal_data.register_categories()
