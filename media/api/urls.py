"""URLs of media in the API."""

from django.urls import path

from media.api import views

urlpatterns = [
    path("media", views.MediaListView.as_view()),
    path("media/uploads", views.UploadsView.as_view()),
    path("media/<media_id>", views.MediaView.as_view()),
    path("media/<media_id>/complete", views.CompleteView.as_view()),
]
