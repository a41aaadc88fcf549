"""From a file's bytes to the variants' bytes, in memory: the one place where a bad picture's exceptions end."""

from __future__ import annotations

from PIL import Image

from media.processing.child.colour import to_srgb
from media.processing.child.decoding import decode, read_orientation
from media.processing.child.downscale import Size, downscale, fit_within
from media.processing.child.encoding import compute_blurhash, encode_variants
from media.processing.errors import BadPicture, Reason
from media.processing.formats import Format
from media.processing.protocol import SIZES, Options, Picture

_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS_ORIENTATIONS = (5, 6, 7, 8)


def render(content: bytes, options: Options) -> tuple[Picture, dict[str, bytes]]:
    """The picture and its files' contents by name. Raises BadPicture and nothing else.

    Decoders raise nearly every exception there is (ValueError, TypeError, SyntaxError, struct.error, EOFError,
    IndexError, KeyError, RecursionError, OSError, zlib.error, …). No file is touched here: all mean the picture.
    """
    if len(content) > options.max_bytes:
        raise BadPicture(Reason.TOO_MANY_BYTES)
    try:
        largest, format, full = _decode_upright(content, options.max_pixels)
        variants, contents = encode_variants(largest, full, jpeg=options.jpeg)
        return Picture(*full, compute_blurhash(largest), format, variants), contents
    except BadPicture:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture(Reason.TOO_MANY_PIXELS) from None
    except MemoryError:
        raise BadPicture(Reason.TOO_MUCH_MEMORY) from None
    except Exception as error:
        raise BadPicture(Reason.DAMAGED) from error


def _decode_upright(content: bytes, max_pixels: int) -> tuple[Image.Image, Format, Size]:
    """The largest variant's pixels in sRGB, the source's format, the upright original's size.

    What costs per pixel comes after the reduction: turning, and the colours."""
    image, format, full = decode(content, max_pixels)
    turn = read_orientation(image, format)
    profile = image.info.get("icc_profile")
    small = downscale(image, fit_within(full, max(SIZES)))
    del image  # up to 200 MB
    if turn in _TRANSPOSES:
        small = small.transpose(_TRANSPOSES[turn])
    return to_srgb(small, profile), format, full[::-1] if turn in _SIDEWAYS_ORIENTATIONS else full
