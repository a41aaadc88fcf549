"""A strict JSON parser: it answers 400 to anything that PostgreSQL, Redis or another client could not hold.

Rejected are encodings other than UTF-8, NaN and infinities (also by overflow, as in 1e999), NUL characters, lone
surrogates, and nesting beyond `MAX_DEPTH`. Of a repeated key the last value counts. Django's
DATA_UPLOAD_MAX_MEMORY_SIZE limits the size of a body.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

MAX_DEPTH = 32  # levels; the API's own bodies have three


class StrictJSONParser(JSONParser):
    # A subclass of JSONParser: DRF then reads the body through `request.body`, which limits its size.

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            # RFC 8259 allows no other encoding, so the Content-Type's charset is ignored.
            data = json.loads(stream.read().decode(), parse_constant=_reject_constant, parse_float=_parse_finite_float)
        except UnicodeDecodeError:
            raise ParseError("The body is not UTF-8.") from None
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        except json.JSONDecodeError as error:
            raise ParseError(f"The body is not JSON: {error}") from None
        except ValueError:
            raise ParseError("The body contains a number that is out of range.") from None
        _check_document(data)
        return data


def _reject_constant(constant: str) -> float:
    raise ValueError(constant)  # NaN and infinities, which Python's parser accepts


def _parse_finite_float(literal: str) -> float:
    value = float(literal)
    if math.isinf(value):
        raise ValueError(literal)
    return value


def _check_document(data: Any) -> None:
    """Check every key and value, level by level: a hostile body would exploit recursion."""
    level = [data]
    for _ in range(MAX_DEPTH):
        next_level: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                next_level.extend(item)
                next_level.extend(item.values())
            elif isinstance(item, list):
                next_level.extend(item)
        if not next_level:
            return
        level = next_level
    raise ParseError("The JSON is nested too deeply.")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ParseError("Text must not contain NUL characters.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ParseError("Text must not contain lone surrogates.") from None
