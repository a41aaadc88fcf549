"""Users and relations, under /api/v1."""

from django.urls import path

from social.api import preferences, push, views
from social.api.search import SearchView

urlpatterns = [
    path("users", SearchView.as_view()),
    path("users/relationships", views.RelationshipsView.as_view()),  # a reserved username
    path("users/<str:username>", views.ProfileView.as_view()),
    path("users/<str:username>/follow", views.FollowView.as_view()),
    path("users/<str:username>/block", views.BlockView.as_view()),
    path("users/<str:username>/mute", views.MuteView.as_view()),
    path("users/<str:username>/followers", views.FollowersView.as_view()),
    path("users/<str:username>/following", views.FollowingView.as_view()),
    path("me/followers/<str:username>", views.MyFollowerView.as_view()),
    path("me/follow-requests", views.FollowRequestsView.as_view()),
    path("me/follow-requests/<str:username>/accept", views.AcceptView.as_view()),
    path("me/follow-requests/<str:username>/reject", views.RejectView.as_view()),
    path("me/preferences", preferences.PreferencesView.as_view()),
    path("push/key", push.PushKeyView.as_view()),
    path("push/subscriptions", push.PushSubscriptionsView.as_view()),
    path("me/blocks", views.BlocksView.as_view()),
    path("me/mutes", views.MutesView.as_view()),
]
