"""Serializer fields that take JSON at its word: a number is not a text, "yes" is not true."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from instafeed.core.api.openapi.components import ID_PATTERN
from instafeed.core.db.snowflake import parse_id


class StrictCharField(serializers.CharField):
    """Takes JSON strings only; to be mixed into CharField's other descendants."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class VerbatimCharField(StrictCharField):
    """A text that comes back exactly as it was given."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("trim_whitespace", False)
        super().__init__(**kwargs)


class NonBlankCharField(VerbatimCharField):
    """A text with more than white space in it."""

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if not value.strip():
            self.fail("blank")
        return value


class StrictBooleanField(serializers.BooleanField):
    """JSON's true or false and nothing else."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


@extend_schema_field({"type": "string", "pattern": ID_PATTERN})
class IdField(serializers.Field):
    """An id as clients see it: a decimal string, as 64 bits exceed what JavaScript holds. Read-only."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["read_only"] = True
        super().__init__(**kwargs)

    def to_representation(self, value: int) -> str:
        return str(value)


@extend_schema_field({"type": "string", "pattern": ID_PATTERN})
class IdInputField(serializers.Field):
    """An id in a body: a decimal string; a number too large for an id is none either."""

    default_error_messages = {"invalid": "Not an id: a decimal string is expected."}

    def to_internal_value(self, data: Any) -> int:
        parsed = parse_id(data) if isinstance(data, str) else None
        if parsed is None:
            self.fail("invalid")
        return parsed

    def to_representation(self, value: int) -> str:
        return str(value)
