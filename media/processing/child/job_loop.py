"""The child's side of the pipe: jobs on standard input, answers on standard output. It opens no files.

A job is a line of JSON, followed by the picture's bytes. An answer is a line of JSON: `{"picture": …, "files": …}`,
followed by the bytes of these files, whose lengths `files` contains by name; or `{"refused": code}` for a bad picture.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

from media.processing.child.rendering import render
from media.processing.child.sandbox import limit_cpu
from media.processing.errors import BadPicture
from media.processing.protocol import Options


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


def run_jobs(jobs: BinaryIO, answers: BinaryIO, cpu_seconds: int, *, missing_protection: Sequence[str] = ()) -> None:
    """Run jobs until the parent closes the pipe or dies."""
    answers.write(json.dumps({"ready": True, "missing": missing_protection}).encode() + b"\n")
    answers.flush()
    while line := jobs.readline():
        job = json.loads(line)
        content = jobs.read(job["size"])
        limit_cpu(cpu_seconds)
        answers.writelines(run_job(content, Options(**job["options"])))
        answers.flush()


def run_job(content: bytes, options: Options) -> Iterator[bytes]:
    """Process one picture and yield the parts of the answer."""
    answer: dict[str, Any]
    contents: dict[str, bytes] = {}
    try:
        picture, contents = render(content, options)
        answer = {"picture": asdict(picture), "files": {name: len(file) for name, file in contents.items()}}
    except BadPicture as error:
        answer = {"refused": error.reason}
    yield json.dumps(answer).encode() + b"\n"
    yield from contents.values()
