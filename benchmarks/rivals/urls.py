from django.urls import path

from benchmarks.rivals.views import ActivityStreamFeed, OrmFeed

urlpatterns = [
    path("orm/<int:viewer_id>", OrmFeed.as_view()),
    path("activity_stream/<int:viewer_id>", ActivityStreamFeed.as_view()),
]
