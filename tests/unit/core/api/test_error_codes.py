"""The catalogue of error codes has every code that the API can send, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import exceptions, serializers

from accounts.models import User
from instafeed.core.api.error_codes import ERROR_CODES, error_code_table
from instafeed.core.api.errors import error_body
from instafeed.core.api.openapi.public_document import StrictSchemaGenerator
from instafeed.devstack.state import PROJECT_ROOT

PACKAGES = ("accounts", "social", "media", "exports", "posts", "feeds", "instafeed/core", "instafeed/stream")
# Forms and pages of the admin, and programs: their codes reach no client of the API.
ELSEWHERE = {"admin", "management", "migrations", "backoffice"}
EXCEPTIONS_WITH_CODE = {"ErrorDetail", "Conflict", "PermissionDenied", "AuthenticationFailed", "NotFound"}
CODE = re.compile("[a-z]+(_[a-z]+)*")
QUERIES = {"Search", "HashtagSearch"}  # serializers of query parameters, which are no components


def test_every_code_that_the_source_names_is_in_the_catalogue() -> None:
    found = {code: path for path in source_files() for code in codes_in(path)}
    assert len(found) > 15
    missing = {code: str(path) for code, path in found.items() if code not in ERROR_CODES}
    assert not missing, "add the codes with their meaning to instafeed/core/api/error_codes.py"


def test_every_code_of_fields_validators_and_exceptions_is_in_the_catalogue() -> None:
    codes = field_codes() | exception_codes() | password_codes() | status_codes()
    assert {"required", "max_length", "throttled", "password_too_common", "bad_request"} <= codes
    assert not codes - ERROR_CODES.keys(), "add the codes with their meaning to instafeed/core/api/error_codes.py"


def test_the_catalogue_has_no_code_that_nothing_sends() -> None:
    sent = {code for path in source_files() for code in codes_in(path)}
    sent |= field_codes() | exception_codes() | password_codes() | status_codes()
    assert not ERROR_CODES.keys() - sent


def test_the_page_lists_the_catalogue() -> None:
    assert error_code_table() in (PROJECT_ROOT / "docs" / "errors.md").read_text(), "copy error_code_table() there"


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_each_code_has_an_error_status_and_a_sentence(code: str) -> None:
    entry = ERROR_CODES[code]
    assert 400 <= entry.status < 600
    assert entry.meaning.endswith(".")


def source_files() -> Iterator[Path]:
    for package in PACKAGES:
        for path in (PROJECT_ROOT / package).rglob("*.py"):
            if not ELSEWHERE & set(path.relative_to(PROJECT_ROOT).parts) and path.stem != "admin":
                yield path


def codes_in(path: Path) -> Iterator[str]:
    """Yield the constants that a module uses as error codes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield from codes_of_call(node)
        elif isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["default_code"]:
            yield from texts([node.value])


def codes_of_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func).rpartition(".")[2]
    is_error = name.endswith(("Error", "Exception")) or name in EXCEPTIONS_WITH_CODE
    if is_error:
        yield from texts(keyword.value for keyword in call.keywords if keyword.arg == "code")
        yield from texts(call.args[1:2])
    elif name == "fail" and call.args:
        yield from texts(call.args[:1])
    elif name == "error_response":
        yield from texts(call.args[1:2])
    elif name == "error_responses":
        yield from texts(pair.elts[0] for pair in call.args[1:] if isinstance(pair, ast.Tuple))


def texts(nodes: Any) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
            yield node.value


def field_codes() -> set[str]:
    """Return the codes of the fields of all bodies and queries that the API reads, and of their validators."""
    schemas = StrictSchemaGenerator().get_schema(request=None, public=True)["components"]["schemas"]
    read = {name.removesuffix("Request").removeprefix("Patched") for name in schemas if name.endswith("Request")}
    named = [one().fields.values() for one in below(serializers.Serializer) if component_name(one) in read | QUERIES]
    # A response may have the name of a request, but has read-only fields.
    inputs = [fields for fields in named if not any(field.read_only for field in fields)]
    assert len(inputs) >= len(read | QUERIES)
    return {code for fields in inputs for field in fields for code in codes_of_field(field)}


def component_name(serializer: type[serializers.Serializer[Any]]) -> str:
    annotation = getattr(serializer, "_spectacular_annotation", {})
    return annotation.get("component_name") or serializer.__name__.removesuffix("Serializer")


def codes_of_field(field: serializers.Field[Any, Any, Any, Any]) -> Iterator[str]:
    yield from field.error_messages
    for validator in field.validators:
        yield from [code for code in [getattr(validator, "code", None)] if code]
    child: serializers.Field[Any, Any, Any, Any] | None = getattr(field, "child", None)
    if child is not None:
        yield from codes_of_field(child)


def exception_codes() -> set[str]:
    ours = [one for one in below(exceptions.APIException) if one.__module__.startswith(("rest_framework.", *PACKAGES))]
    return {one.default_code for one in ours if isinstance(one.default_code, str)} | {"error"}


def password_codes() -> set[str]:
    codes: set[str] = set()
    for password in ("1234567", "grace_hopper"):
        with pytest.raises(DjangoValidationError) as caught:
            validate_password(password, User(username="grace_hopper"))
        codes |= {error.code for error in caught.value.error_list if error.code}
    return codes


def status_codes() -> set[str]:
    statuses = (400, 401, 403, 404, 405, 413, 500, 503)
    return {error_body(status).decode().partition('"code":"')[2].partition('"')[0] for status in statuses}


def below(base: type[Any]) -> list[type[Any]]:
    children: list[type[Any]] = base.__subclasses__()
    return [one for child in children for one in (child, *below(child))]
