"""The child's side of the pipe: one line of JSON per job on standard input, one per answer on standard output.

An answer is `{"picture": …}`, `{"refused": code}` for a bad picture, or `{"failed": text}` for any other failure.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from media.processing.child.rendering import render
from media.processing.child.sandbox import limit_cpu
from media.processing.errors import BadPicture
from media.processing.protocol import Options

READY_LINE = b'{"ready": true}\n'


def take_over_stdout() -> BinaryIO:
    """Return the pipe of standard output, and redirect standard output and error to the null device.

    Otherwise the output of libraries would be taken for answers, and strangers' files could fill the log.
    """
    answers = os.fdopen(os.dup(1), "wb")
    null_device = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null_device, 1)
    os.dup2(null_device, 2)
    os.close(null_device)
    return answers


def run_jobs(jobs: Iterable[bytes], answers: BinaryIO, cpu_seconds: int) -> None:
    """Run jobs until the parent closes the pipe or dies."""
    answers.write(READY_LINE)
    answers.flush()
    for line in jobs:
        limit_cpu(cpu_seconds)
        answers.write(json.dumps(run_job(json.loads(line))).encode() + b"\n")
        answers.flush()


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Process one picture, write its variants to the job's directory, and return the answer."""
    options = Options(**job["options"])
    try:
        with open(job["source"], "rb") as file:
            content = file.read(options.max_bytes + 1)
        picture, contents = render(content, options)
        _write_files(contents, Path(job["directory"]))
    except BadPicture as error:
        return {"refused": error.reason}
    except OSError as error:
        return {"failed": f"{type(error).__name__}: {error}"[:1000]}
    return {"picture": asdict(picture)}


def _write_files(contents: dict[str, bytes], directory: Path) -> None:
    """Write each file under another name first, so that a file with a variant's name is complete."""
    for name, content in contents.items():
        part = directory / f"{name}.part"
        part.write_bytes(content)
        part.rename(directory / name)
