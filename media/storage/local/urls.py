"""URLs of the local storage's files, under MEDIA_URL."""

from django.urls import path

from media.storage.local.file_view import serve_file
from media.storage.local.upload_view import receive_upload

urlpatterns = [path("upload", receive_upload), path("<path:path>", serve_file)]
