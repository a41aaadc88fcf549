"""An untrusted file becomes safe, upright, small pictures. Knows neither Django nor where files are kept.

`process()` has Pillow do it in a child process (`processor`), which confines itself (`confinement`), answers
one line per job (`serving`) and, for each, reads the file, opens it (`decoding`), reduces it (`shrinking`), brings its
colours to sRGB (`colour`) and writes every size (`variants`). This process never imports Pillow for it.
"""

from media.processing.errors import BadPicture, ProcessingError, Reason
from media.processing.formats import SNIFFED_BYTES, Format, sniff
from media.processing.parent import Limits, Processor, process
from media.processing.protocol import SIZES, VARIANT_FORMATS, Options, Picture, Variant, variant_filename

__all__ = [
    "SIZES",
    "SNIFFED_BYTES",
    "VARIANT_FORMATS",
    "BadPicture",
    "Format",
    "Limits",
    "Options",
    "Picture",
    "ProcessingError",
    "Processor",
    "Reason",
    "Variant",
    "process",
    "sniff",
    "variant_filename",
]
