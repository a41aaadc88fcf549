"""The routes of this app under /api/v1."""

from django.urls import path

from posts.api.comments import CommentsView, CommentView
from posts.api.explore import ExploreView
from posts.api.hashtags import HashtagPostsView, HashtagSearchView
from posts.api.notifications import (
    MarkNotificationsReadView,
    NotificationsView,
    NotificationView,
    UnreadNotificationsView,
)
from posts.api.reactions import CommentLikeView, PostLikesView, PostLikeView, PostSaveView, SavedPostsView
from posts.api.reports import ReportsView
from posts.api.views import PostListView, PostView, UserPostsView

urlpatterns = [
    path("posts", PostListView.as_view()),
    path("posts/<str:post_id>", PostView.as_view()),
    path("posts/<str:post_id>/like", PostLikeView.as_view()),
    path("posts/<str:post_id>/likes", PostLikesView.as_view()),
    path("posts/<str:post_id>/save", PostSaveView.as_view()),
    path("posts/<str:post_id>/comments", CommentsView.as_view()),
    path("comments/<str:comment_id>", CommentView.as_view()),
    path("comments/<str:comment_id>/like", CommentLikeView.as_view()),
    path("users/<str:username>/posts", UserPostsView.as_view()),
    path("hashtags", HashtagSearchView.as_view()),
    path("hashtags/<str:tag>/posts", HashtagPostsView.as_view()),
    path("explore", ExploreView.as_view()),
    path("me/saved", SavedPostsView.as_view()),
    path("reports", ReportsView.as_view()),
    path("notifications", NotificationsView.as_view()),
    path("notifications/read", MarkNotificationsReadView.as_view()),
    path("notifications/unread-count", UnreadNotificationsView.as_view()),
    path("notifications/<str:notification_id>", NotificationView.as_view()),
]
