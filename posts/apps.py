from django.apps import AppConfig


class PostsConfig(AppConfig):
    name = "posts"

    def ready(self) -> None:
        from posts import contacts, media_pending, personal_data, post_cache  # noqa: F401  (their receivers)
        from posts.moderation import audit_names, cases  # noqa: F401  (connects its receiver)
        from social import visibility

        audit_names.register()
        personal_data.register_categories()
        visibility.register_contact_check(contacts.has_contacted)
