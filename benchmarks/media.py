"""Measure how long four WebP variants of a 12 megapixel photograph take: `media.processing` against plain Pillow.

Plain Pillow decodes, rotates and converts every pixel and downscales each variant from the whole picture, with the
same encoder settings. Both read and write files; `media.processing` also crosses the pipe to its child process and
computes the blurhash. The picture is generated: layers of noise with less contrast in finer detail, as in photographs,
and hard-edged shapes on top. It is rotated by EXIF and has a colour profile, as from a phone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from PIL import Image, ImageChops, ImageCms, ImageDraw, ImageFilter, ImageOps, ImageStat

from benchmarks.harness import Stack, load_average, log
from benchmarks.results import BenchmarkError, Result
from media.processing import SIZES, Options, Picture, Processor

TARGETS = {"plain": ">= 3"}
_WEBP_OPTIONS: dict[str, Any] = {"quality": 80, "method": 2}
_SRGB = ImageCms.createProfile("sRGB")
_MAX_MEAN_DIFFERENCE = 6  # of 255: two encodings of the same pixels may differ by this mean


@dataclass(frozen=True)
class Size:
    photo: tuple[int, int]
    largest: tuple[int, int]  # to measure memory
    rounds: int


FULL = Size((4032, 3024), (8164, 6123), 9)
QUICK = Size((1600, 1200), (1600, 1200), 1)


def run(stack: Stack, *, quick: bool) -> Result:
    """Run the benchmark. It needs no server, so `stack` is unused."""
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="instafeed-bench-") as name:
        directory = Path(name)
        photo, largest = directory / "photo.jpg", directory / "largest.webp"
        log(f"drawing a photograph of {size.photo[0] * size.photo[1] / 1e6:.1f} megapixels")
        _draw(size.photo, photo)
        source_bytes = photo.stat().st_size
        ours, plain, picture = _measure(photo, directory, size.rounds)
        wrong, different = _compare(directory, picture)
        log("the largest picture allowed")
        Image.open(photo).resize(size.largest).convert("RGBA").save(largest, quality=80, method=0)
        largest_ms, peak = _measure_largest(largest, directory)
    ratios = [theirs / own for own, theirs in zip(ours, plain, strict=True)]
    return Result(
        "media",
        {
            "megapixels": size.photo[0] * size.photo[1] / 1e6,
            "source_bytes": source_bytes,
            "rounds": size.rounds,
            "pictures_per_s_per_core": 1 / median(ours),
            "plain_pictures_per_s_per_core": 1 / median(plain),
            "ms": median(ours) * 1000,
            "plain_ms": median(plain) * 1000,
            **{f"bytes_{variant.size}": variant.bytes for variant in picture.variants},
            "largest_megapixels": size.largest[0] * size.largest[1] / 1e6,
            "largest_ms": largest_ms,
            "largest_peak_rss_mb": peak,
            "load_average": load_average(),
        },
        ratios={"plain": median(ratios)},
        checks={"variants_wrong": wrong, "variants_different": different},
        targets=TARGETS,
    )


def _measure(photo: Path, directory: Path, rounds: int) -> tuple[list[float], list[float], Picture]:
    """Return the seconds of each round, of `media.processing` and of plain Pillow, which alternate."""
    (directory / "ours").mkdir()
    (directory / "plain").mkdir()
    processor = Processor()
    ours, plain = [], []
    try:
        picture = processor.process(photo, directory / "ours")  # starts the child process
        for number in range(rounds):
            log(f"round {number + 1} of {rounds}")
            ours.append(_seconds(lambda: processor.process(photo, directory / "ours")))
            plain.append(_seconds(lambda: _plain(photo, directory / "plain")))
    finally:
        processor.close()
    return ours, plain, picture


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _plain(photo: Path, directory: Path) -> None:
    with Image.open(photo) as image:
        profile = BytesIO(image.info["icc_profile"])
        upright = ImageOps.exif_transpose(image.convert("RGB"))
        converted = ImageCms.profileToProfile(upright, profile, _SRGB)
    if converted is None:
        raise BenchmarkError("the colour profile was not converted")
    for size in SIZES:
        variant = ImageOps.contain(converted, (size, size), Image.Resampling.LANCZOS)
        variant.save(directory / f"{size}.webp", icc_profile=None, exif=b"", **_WEBP_OPTIONS)


def _compare(directory: Path, picture: Picture) -> tuple[int, int]:
    """Count variants whose size differs from plain Pillow's, and those that look different."""
    wrong = different = 0
    for variant in picture.variants:
        ours = Image.open(directory / "ours" / variant.filename)
        plain = Image.open(directory / "plain" / f"{variant.size}.webp")
        if ours.size != plain.size:
            wrong += 1
        elif max(ImageStat.Stat(ImageChops.difference(ours, plain)).mean) > _MAX_MEAN_DIFFERENCE:
            different += 1
    return wrong, different


def _measure_largest(path: Path, directory: Path) -> tuple[float, float]:
    """Return the milliseconds and the child's peak resident memory in MB; WebP needs the most of all formats."""
    processor = Processor()
    try:
        seconds = _seconds(lambda: processor.process(path, directory, Options(max_bytes=2**30)))
        status = Path(f"/proc/{processor.child_pid}/status").read_text()
    finally:
        processor.close()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return seconds * 1000, int(peak) / 1024


def _draw(size: tuple[int, int], path: Path) -> None:
    rng = Random(12)
    planes = [_plane(size, 0.5, rng), *(_plane(size, 0.2, rng).filter(ImageFilter.BoxBlur(8)) for _ in range(2))]
    image = Image.merge("YCbCr", planes).convert("RGB")
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, side = rng.randrange(size[0]), rng.randrange(size[1]), rng.randrange(size[0] // 20)
        draw.ellipse((x, y, x + side, y + side * rng.random()), fill=image.getpixel((size[0] - 1 - x, y)))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, quality=90, exif=exif, icc_profile=ImageCms.ImageCmsProfile(_SRGB).tobytes())


def _plane(size: tuple[int, int], contrast: float, rng: Random) -> Image.Image:
    """Blend layers of noise, each finer and two thirds as strong as the one before it."""
    plane = Image.new("L", size, 128)
    grain, strength = 4, contrast
    while grain <= 2 * size[0]:
        layer = Image.frombytes("L", (grain, grain), rng.randbytes(grain * grain))
        plane = Image.blend(plane, layer.resize(size, Image.Resampling.BICUBIC), strength)
        grain, strength = grain * 4, strength / 1.5
    return plane
