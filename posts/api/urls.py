from django.urls import path

from posts.api.views import PostListView, PostView, UserPostsView

urlpatterns = [
    path("posts", PostListView.as_view()),
    path("posts/<str:post_id>", PostView.as_view()),
    path("users/<str:username>/posts", UserPostsView.as_view()),
]
