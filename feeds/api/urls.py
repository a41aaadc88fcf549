from django.urls import path

from feeds.api.views import FeedViewSet

urlpatterns = [
    path("feed", FeedViewSet.as_view({"get": "list"})),
    path("feed/unread-count", FeedViewSet.as_view({"get": "unread_count"})),
]
