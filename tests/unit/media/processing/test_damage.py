"""Truncated and damaged files are refused, and no decoder exception leaves `render`."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, UnidentifiedImageError

from media.processing import SIZES, BadPicture, Format, Options, Reason
from media.processing.child import rendering
from media.processing.child.rendering import render
from tests.unit.media.processing.samples import FORMATS, encode

SMALL = Options(max_pixels=100_000)


@cache
def sample(format: Format) -> bytes:
    """Return a picture with detail everywhere, so that every part of the file matters."""
    gradient = Image.linear_gradient("L").resize((120, 80))
    image = Image.merge("RGB", (gradient, gradient.transpose(Image.Transpose.ROTATE_180), gradient))
    return encode(Image.blend(image, Image.radial_gradient("L").resize((120, 80)).convert("RGB"), 0.5), format)


def reason(content: bytes, options: Options = SMALL) -> Reason:
    with pytest.raises(BadPicture) as raised:
        render(content, options)
    return raised.value.reason


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("tenth", range(1, 10))
def test_truncated_picture_is_refused(format: Format, tenth: int) -> None:
    content = sample(format)
    assert reason(content[: len(content) * tenth // 10]) in (Reason.DAMAGED, Reason.UNSUPPORTED)


def test_truncated_large_jpeg_is_refused() -> None:
    content = encode(Image.linear_gradient("L").resize((2400, 1600)), Format.JPEG)
    for tenth in (3, 6, 9):
        assert reason(content[: len(content) * tenth // 10], Options()) is Reason.DAMAGED


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_refused_or_survived(format: Format, data: st.DataObject) -> None:
    content = bytearray(sample(format))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BadPicture):
        picture, contents = render(bytes(content), SMALL)
        assert picture.width * picture.height <= SMALL.max_pixels
        assert len(picture.variants) == len(SIZES)
        assert all(contents.values())


RAISED = [
    ValueError, TypeError, SyntaxError, struct.error, EOFError, IndexError, KeyError, AttributeError, RecursionError,
    OSError, PermissionError, zlib.error, ZeroDivisionError, OverflowError, UnicodeDecodeError("utf-8", b"", 0, 1, ""),
    UnidentifiedImageError, AssertionError, NotImplementedError, RuntimeError, StopIteration,
]  # fmt: skip


@pytest.mark.parametrize("error", RAISED, ids=str)
@pytest.mark.parametrize("where", ["load", "resize"])
def test_any_decoder_exception_is_a_damaged_picture(
    error: type[Exception] | Exception, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    content = sample(Format.PNG)
    monkeypatch.setattr(ImageFile.ImageFile if where == "load" else Image.Image, where, broken)
    assert reason(content) is Reason.DAMAGED


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError, Reason.TOO_MUCH_MEMORY),
        (Image.DecompressionBombError, Reason.TOO_MANY_PIXELS),
        (Image.DecompressionBombWarning, Reason.TOO_MANY_PIXELS),
    ],
)
def test_exceeded_limits_have_their_own_reasons(
    error: type[Exception], expected: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(rendering, "decode", broken)
    assert reason(sample(Format.PNG)) is expected


def test_interrupt_is_not_treated_as_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rendering, "decode", broken)
    with pytest.raises(KeyboardInterrupt):
        render(sample(Format.PNG), SMALL)
