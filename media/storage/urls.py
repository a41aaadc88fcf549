"""Routes of the embedded stack's files, under MEDIA_URL."""

from django.urls import path

from media.storage.receiving import receive
from media.storage.serving import serve

urlpatterns = [path("upload", receive), path("<path:path>", serve)]
