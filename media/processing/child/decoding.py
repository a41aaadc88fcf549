"""Decoding of untrusted bytes: open them as one format, check the header, decode no more than needed.

The bytes are in memory already, so every exception raised here is the picture's fault.
"""

from __future__ import annotations

import warnings
from io import BytesIO

import pillow_heif
from PIL import AvifImagePlugin, Image, ImageFile, WebPImagePlugin  # noqa: F401 (two of them register themselves)

from media.processing.child.jpeg_scans import has_too_many_scans
from media.processing.errors import BadPicture, Reason
from media.processing.formats import SNIFFED_BYTES, Format, sniff
from media.processing.protocol import SIZES

_PILLOW_NAMES = {
    Format.JPEG: "JPEG",
    Format.PNG: "PNG",
    Format.GIF: "GIF",
    Format.WEBP: "WEBP",
    Format.HEIC: "HEIF",
    Format.AVIF: "AVIF",
}
_ORIENTATION_TAG = 0x0112

# One thread, as the service scales by one worker per core, and threads' stacks would count as memory.
pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def decode(content: bytes, max_pixels: int) -> tuple[Image.Image, Format, tuple[int, int]]:
    """Return the decoded image, its format, and its full size.

    The image is not rotated upright yet, and a JPEG may be decoded at a fraction of its size. Raises BadPicture for
    errors that the header shows, and any exception of Pillow.
    """
    format = sniff(content[:SNIFFED_BYTES])
    if format is None:
        raise BadPicture(Reason.UNSUPPORTED)
    if format is Format.JPEG and has_too_many_scans(content):
        raise BadPicture(Reason.TOO_SLOW)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # Pillow checks this while it reads the header, before any decoder allocates memory.
        Image.MAX_IMAGE_PIXELS = max_pixels
        image = Image.open(BytesIO(content), formats=(_PILLOW_NAMES[format],))
    full = image.size
    if full[0] * full[1] > max_pixels:
        raise BadPicture(Reason.TOO_MANY_PIXELS)
    if format is Format.JPEG:  # not a HEIC, whose draft is its thumbnail, which may show something else
        _request_draft(image)
    drafted = image.size
    image.load()
    if image.size != drafted:
        raise ValueError(f"the header says {drafted}, the picture has {image.size}")
    return image, format, full


def read_orientation(image: Image.Image, format: Format) -> int:
    """Return the EXIF orientation, 1 to 8, or 1 if it cannot be read. libheif has rotated a HEIC already."""
    if format is Format.HEIC:
        return 1
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # Pillow's parser raises nearly any exception for bad metadata; the pixels are fine
        return 1
    return value if value in range(1, 9) else 1


def _request_draft(image: ImageFile.ImageFile) -> None:
    """Let libjpeg decode at 1/2, 1/4 or 1/8 if that is enough for the largest variant."""
    width, height = image.size
    share = max(SIZES) / max(width, height)
    if share < 1:
        image.draft(None, (max(1, int(width * share)), max(1, int(height * share))))
