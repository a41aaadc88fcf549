"""What can go wrong: the picture's fault, which its owner is told, or ours, which is tried again."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a picture is refused; `text` is what its owner reads."""

    UNSUPPORTED = "unsupported"
    DAMAGED = "damaged"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MUCH_MEMORY = "too_much_memory"
    TOO_SLOW = "too_slow"

    @property
    def text(self) -> str:
        return _REASON_TEXTS[self]


_REASON_TEXTS = {
    Reason.UNSUPPORTED: "This is not a JPEG, PNG, GIF, WebP, HEIC or AVIF picture.",
    Reason.DAMAGED: "The picture is damaged or incomplete.",
    Reason.TOO_MANY_BYTES: "The file is too large.",
    Reason.TOO_MANY_PIXELS: "The picture has too many pixels.",
    Reason.TOO_MUCH_MEMORY: "The picture takes too much memory to process.",
    Reason.TOO_SLOW: "The picture takes too long to process.",
}


class BadPicture(Exception):
    """The picture itself is at fault: another try would end the same way."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.text)
        self.reason = reason


class ProcessingError(Exception):
    """Not the picture's fault: no child, no space, no file. Worth a few more tries, but not endless ones: a picture
    that brings the whole machine down looks like this too."""
