from posts.models.post import Post, PostMedia

__all__ = ["Post", "PostMedia"]
