"""What can go wrong: the picture's fault, which its owner is told, or ours, which is tried again."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a picture is refused; `text` is what its owner reads."""

    text: str

    def __new__(cls, code: str, text: str) -> "Reason":
        member = str.__new__(cls, code)
        member._value_ = code
        member.text = text
        return member

    UNSUPPORTED = "unsupported", "This is not a JPEG, PNG, GIF, WebP, HEIC or AVIF picture."
    DAMAGED = "damaged", "The picture is damaged or incomplete."
    TOO_MANY_BYTES = "too_many_bytes", "The file is too large."
    TOO_MANY_PIXELS = "too_many_pixels", "The picture has too many pixels."
    TOO_MUCH_MEMORY = "too_much_memory", "The picture takes too much memory to process."
    TOO_SLOW = "too_slow", "The picture takes too long to process."


class BadPicture(Exception):
    """The picture itself is at fault: another try would end the same way."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.text)
        self.reason = reason


class ProcessingError(Exception):
    """Not the picture's fault: no child, no space, no file. Worth a few more tries, but not endless ones: a picture
    that brings the whole machine down looks like this too."""
