"""Conversion of any mode and colour profile to sRGB: an RGB or RGBA picture without metadata.

Runs on the downscaled picture, as a profile's transform takes about 40 ns per pixel.
"""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageCms

_MAX_PROFILE_BYTES = 4 * 2**20  # printer profiles have 2 or 3 MB
_SRGB = ImageCms.createProfile("sRGB")


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image in a mode that `downscale` returns. An embedded `profile` that cannot be used is ignored."""
    colour, alpha = _split_alpha(image)
    colour = _apply_profile(colour, profile) or colour.convert("RGB")
    bare = Image.new("RGB", colour.size)  # a new image, so that no metadata is copied
    bare.paste(colour)
    if alpha is not None and alpha.getextrema() != (255, 255):
        bare.putalpha(alpha)
    return bare


def flatten_on_white(image: Image.Image) -> Image.Image:
    """Return the image on a white background, for formats without transparency."""
    if image.mode == "RGB":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    if image.mode == "I":  # 16-bit grey; convert() alone would clip it
        return image.point(lambda value: value * (1 / 257)).convert("L"), None
    if image.mode == "La":
        straight = image.convert("LA")
        return straight.getchannel("L"), straight.getchannel("A")
    if image.mode == "RGBa":
        straight = image.convert("RGBA")
        return straight.convert("RGB"), straight.getchannel("A")
    return image, None


def _apply_profile(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """Return None if there is no profile or it does not fit the image: editors attach profiles of all kinds."""
    if not profile or len(profile) > _MAX_PROFILE_BYTES:
        return None
    try:
        return ImageCms.profileToProfile(image, BytesIO(profile), _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
