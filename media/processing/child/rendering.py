"""From a file's bytes to the variants' bytes, in memory. All exceptions of a bad picture are caught here."""

from __future__ import annotations

from PIL import Image

from media.processing.child.blurhashing import compute_blurhash
from media.processing.child.colour import to_srgb
from media.processing.child.decoding import decode, read_orientation
from media.processing.child.downscale import Size, downscale, fit_within
from media.processing.child.encoding import encode_variants
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
    """Return the picture and the contents of its files by name. Raises BadPicture and nothing else.

    Decoders raise nearly every exception (ValueError, TypeError, SyntaxError, struct.error, EOFError, IndexError,
    KeyError, RecursionError, OSError, zlib.error, …). No file is accessed here, so each means that the picture is bad.
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
    """Return the largest variant as an sRGB image, the source's format, and the size of the upright original.

    Rotation and colour conversion come after downscaling, because their cost is per pixel.
    """
    image, format, full = decode(content, max_pixels)
    exif_orientation = read_orientation(image, format)
    profile = image.info.get("icc_profile")
    small = downscale(image, fit_within(full, max(SIZES)))
    del image  # up to 200 MB
    if exif_orientation in _TRANSPOSES:
        small = small.transpose(_TRANSPOSES[exif_orientation])
    return to_srgb(small, profile), format, full[::-1] if exif_orientation in _SIDEWAYS_ORIENTATIONS else full
