"""From a file's bytes to the variants' bytes, in memory: the one place where a bad picture's exceptions end."""

from __future__ import annotations

from PIL import Image

from media.processing.colour import to_srgb
from media.processing.decoding import decode, orientation
from media.processing.errors import BadPicture, Reason
from media.processing.formats import Format
from media.processing.results import SIZES, Options, Picture
from media.processing.shrinking import Size, fitted, shrunk
from media.processing.variants import encoded, hashed

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)


def render(content: bytes, options: Options) -> tuple[Picture, dict[str, bytes]]:
    """The picture and its files' contents by name. Raises BadPicture and nothing else.

    Decoders raise nearly every exception there is (ValueError, TypeError, SyntaxError, struct.error, EOFError,
    IndexError, KeyError, RecursionError, OSError, zlib.error, …). No file is touched here: all mean the picture.
    """
    if len(content) > options.max_bytes:
        raise BadPicture(Reason.TOO_MANY_BYTES)
    try:
        largest, format, full = _upright(content, options.max_pixels)
        variants, contents = encoded(largest, full, jpeg=options.jpeg)
        return Picture(*full, hashed(largest), format, variants), contents
    except BadPicture:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture(Reason.TOO_MANY_PIXELS) from None
    except MemoryError:
        raise BadPicture(Reason.TOO_MUCH_MEMORY) from None
    except Exception as error:
        raise BadPicture(Reason.DAMAGED) from error


def _upright(content: bytes, max_pixels: int) -> tuple[Image.Image, Format, Size]:
    """The largest variant's pixels in sRGB, the source's format, the upright original's size.

    What costs per pixel comes after the reduction: turning, and the colours."""
    image, format, full = decode(content, max_pixels)
    turn = orientation(image, format)
    profile = image.info.get("icc_profile")
    small = shrunk(image, fitted(full, max(SIZES)))
    del image  # up to 200 MB
    if turn in _UPRIGHT:
        small = small.transpose(_UPRIGHT[turn])
    return to_srgb(small, profile), format, full[::-1] if turn in _SIDEWAYS else full
