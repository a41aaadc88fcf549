"""Any mode, in any profile, to sRGB: a bare RGB or RGBA picture with nothing but pixels.

Run on the reduced picture: a profile's transform costs about 40 ns a pixel.
"""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageCms

_MAX_PROFILE_BYTES = 4 * 2**20  # those of printers have 2 or 3 MB
_SRGB = ImageCms.createProfile("sRGB")


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """`image` in a mode of `shrinking.shrunk`; `profile` is the embedded one, ignored if it cannot be used."""
    colour, alpha = _split_alpha(image)
    colour = _apply_profile(colour, profile) or colour.convert("RGB")
    bare = Image.new("RGB", colour.size)  # what is copied is pixels: no metadata comes along
    bare.paste(colour)
    if alpha is not None and alpha.getextrema() != (255, 255):
        bare.putalpha(alpha)
    return bare


def flatten_on_white(image: Image.Image) -> Image.Image:
    """On white, for what has no transparency."""
    if image.mode == "RGB":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    if image.mode == "I":  # 16 bits of grey; convert() alone would clip them
        return image.point(lambda value: value * (1 / 257)).convert("L"), None
    if image.mode == "La":
        straight = image.convert("LA")
        return straight.getchannel("L"), straight.getchannel("A")
    if image.mode == "RGBa":
        straight = image.convert("RGBA")
        return straight.convert("RGB"), straight.getchannel("A")
    return image, None


def _apply_profile(image: Image.Image, profile: bytes | None) -> Image.Image | None:
    """None if there is no profile, or none of this colour space: people's editors attach all kinds."""
    if not profile or len(profile) > _MAX_PROFILE_BYTES:
        return None
    try:
        return ImageCms.profileToProfile(image, BytesIO(profile), _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
