"""Errors of processing: the picture is bad (the owner sees the reason), or processing failed (it is retried)."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a picture is refused. `text` is shown to its owner."""

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
    """The picture is bad. A retry would fail in the same way."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.text)
        self.reason = reason


class ProcessingError(Exception):
    """Processing failed for another reason: no child process, no disk space, no file.

    Retry a few times, but not for ever: a picture that takes down the machine looks the same.
    """
