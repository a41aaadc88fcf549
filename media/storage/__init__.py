"""The storage of pictures: the only way to their files for services, tasks and views.

S3 and CloudFront where AWS_STORAGE_BUCKET_NAME is set, a local directory otherwise (settings.STORAGES). `paths` defines
the layout, and docs/media.md what is guaranteed. Every function raises ValueError for a path outside the layout and
StorageError if the storage is unavailable or refuses.

* `files`: save, open, measure, copy and delete files; purge the CDN's copies.
* `signed_urls`: public and signed URLs, forms for direct uploads.
* `multipart`: files that are stored in parts.
* `url_placeholders`: placeholders for signed URLs in cached JSON.
"""

from media.storage import multipart
from media.storage.backend import FileMissing, Part, StorageError, Upload, UploadLost
from media.storage.files import copy, delete, open, purge, purge_files, read_start, save, size
from media.storage.paths import new_export_path, new_incoming_path, new_key, variants_directory
from media.storage.signed_urls import (
    direct_upload,
    download_url,
    sign_placeholders,
    signed_urls,
    url,
    url_or_placeholder,
)
from media.storage.url_placeholders import PrivateFile, encode_with_placeholders

__all__ = [
    "FileMissing",
    "Part",
    "PrivateFile",
    "StorageError",
    "Upload",
    "UploadLost",
    "copy",
    "delete",
    "direct_upload",
    "download_url",
    "encode_with_placeholders",
    "multipart",
    "new_export_path",
    "new_incoming_path",
    "new_key",
    "open",
    "purge",
    "purge_files",
    "read_start",
    "save",
    "sign_placeholders",
    "signed_urls",
    "size",
    "url",
    "url_or_placeholder",
    "variants_directory",
]
