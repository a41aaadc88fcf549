"""Exports, under /api/v1."""

from django.urls import path

from instafeed.exports.api import views

urlpatterns = [
    path("me/exports", views.Exports.as_view()),
    path("me/exports/<str:export_id>", views.OneExport.as_view()),
]
