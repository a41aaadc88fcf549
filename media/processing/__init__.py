"""Processing of untrusted image files into safe, upright, small variants. Independent of Django and of the storage.

Decoding happens in a child process, so that a malicious file can harm nothing else:

* `parent` starts the child, sends it jobs and checks its answers. Nothing on this side imports Pillow.
* `child/` is the code that runs in the child process.
* `protocol`, `formats` and `errors` are shared: the messages between both sides, the accepted formats, the errors.
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
