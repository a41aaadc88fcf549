"""The OpenAPI document is complete and precise. `test_public_document.py` tests what generators need."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from instafeed.core.api.openapi.description import TAGS
from instafeed.core.api.openapi.public_document import StrictSchemaGenerator

Json = dict[str, Any]

METHODS = {"get", "post", "patch", "delete", "put"}
# These operations check a password or a refresh token themselves: they answer 401 without reading an access token.
SIGN_IN = {"sign_in", "refresh_tokens", "sign_out", "keep_browser_session"}
CONTRACT = """
GET /instance
POST /auth/register
GET /auth/captcha
POST /auth/token
POST /auth/token/refresh
PUT POST DELETE /auth/session
POST /auth/logout
POST /auth/password
POST /auth/email/verify
POST /auth/email/resend
POST /auth/password/reset
POST /auth/password/reset/confirm
POST /me/email
GET PATCH DELETE /me
GET /me/export
GET POST /me/exports
GET /me/exports/{export_id}
POST DELETE /me/totp
POST /me/totp/confirm
GET DELETE /me/sessions
DELETE /me/sessions/{session_id}
GET /me/saved
GET /me/follow-requests
GET /me/blocks
GET /me/mutes
POST /me/follow-requests/{username}/accept
POST /me/follow-requests/{username}/reject
DELETE /me/followers/{username}
GET /users
GET /users/relationships
GET /users/{username}
GET /users/{username}/posts
GET /users/{username}/followers
GET /users/{username}/following
POST DELETE /users/{username}/follow
POST DELETE /users/{username}/block
POST DELETE /users/{username}/mute
POST /media
POST /media/uploads
POST /media/{media_id}/complete
GET PATCH DELETE /media/{media_id}
POST /posts
GET PATCH DELETE /posts/{post_id}
POST DELETE /posts/{post_id}/like
POST DELETE /posts/{post_id}/save
GET /posts/{post_id}/likes
GET POST /posts/{post_id}/comments
DELETE /comments/{comment_id}
POST DELETE /comments/{comment_id}/like
GET /hashtags
GET /hashtags/{tag}/posts
GET /explore
POST /reports
GET /feed
GET /feed/unread-count
GET /stream
GET /notifications
POST /notifications/read
GET /notifications/unread-count
DELETE /notifications/{notification_id}
GET PATCH /me/preferences
GET /push/key
POST DELETE /push/subscriptions
"""


def contract_operations() -> set[tuple[str, str]]:
    lines = [line.split() for line in CONTRACT.strip().splitlines()]
    return {(method.lower(), f"/api/v1{path}") for *methods, path in lines for method in methods}


@pytest.fixture(scope="module")
def document() -> Json:
    """The strict document, with the rules of requests."""
    GENERATOR_STATS.reset()
    return StrictSchemaGenerator().get_schema(request=None, public=True)


@pytest.fixture(scope="module")
def operations(document: Json) -> dict[tuple[str, str], Json]:
    return {
        (method, path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def test_the_document_is_valid_and_generated_without_warnings(document: Json) -> None:
    validate_schema(document)
    assert document["openapi"].startswith("3.1")
    assert not GENERATOR_STATS


def test_the_document_has_exactly_the_operations_of_the_contract(operations: dict[tuple[str, str], Json]) -> None:
    health = {("get", "/health"), ("get", "/health/live"), ("get", "/health/ready")}
    assert set(operations) == contract_operations() | health, "change CONTRACT too"


def test_every_route_and_method_is_documented(operations: dict[tuple[str, str], Json]) -> None:
    routes = set(_routes(get_resolver().url_patterns))
    assert len(routes) > 30
    assert routes <= operations.keys()


def _routes(patterns: list[Any], prefix: str = "/") -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        path = prefix + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            if path in ("/", "/api/v1/") or path.startswith("/api/v1/"):
                yield from _routes(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and path.startswith("/api/v1/"):
            yield from ((method, path) for method in _methods(pattern.callback))


def _methods(callback: Any) -> set[str]:
    actions = getattr(callback, "actions", None)
    if actions:
        return METHODS.intersection(actions)
    return {method for method in METHODS if hasattr(callback.cls, method)}


def test_every_operation_has_a_name_summary_description_and_tag(operations: dict[tuple[str, str], Json]) -> None:
    groups = {tag["name"] for tag in TAGS if tag["description"]}
    for call, operation in operations.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"]), call
        assert 0 < len(operation["summary"]) <= 100, call
        assert operation["description"], call
        assert len(operation["tags"]) == 1, call
        assert set(operation["tags"]) <= groups, call
    names = [operation["operationId"] for operation in operations.values()]
    assert len(set(names)) == len(names)


def test_401_is_documented_exactly_where_a_token_is_read(operations: dict[tuple[str, str], Json]) -> None:
    for call, operation in operations.items():
        reads_token = {"token": []} in operation.get("security", [])
        assert ("401" in operation["responses"]) == (reads_token or operation["operationId"] in SIGN_IN), call


def test_the_token_is_optional_for_public_reads(operations: dict[tuple[str, str], Json]) -> None:
    optional = {path for (_, path), operation in operations.items() if operation.get("security") == [{"token": []}, {}]}
    assert optional == {"/api/v1/users/{username}", "/api/v1/users/{username}/posts", "/api/v1/posts/{post_id}"}


def test_every_operation_documents_its_errors(document: Json, operations: dict[tuple[str, str], Json]) -> None:
    for (method, path), operation in operations.items():
        if not path.startswith("/api/"):
            continue
        responses = set(operation["responses"])
        assert "503" in responses, path
        assert not any(status >= "500" for status in responses - {"503"}), path
        assert ("{" in path) <= ("404" in responses), path
        assert ("requestBody" in operation) <= ({"400", "413", "415"} <= responses), path
        for status in responses:
            response = _resolved(document, operation["responses"][status])
            assert response["description"], (method, path, status)
            assert "X-Request-ID" in response["headers"], (method, path, status)
            is_counted = path != "/api/v1/instance"  # which caches keep
            assert ("RateLimit-Remaining" in response["headers"]) >= is_counted, (method, path, status)
            if status in ("429", "503"):
                assert "Retry-After" in response["headers"], (method, path, status)
            if status >= "400":
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ApiError"}, (method, path, status)


def test_every_body_has_a_valid_example(document: Json, operations: dict[tuple[str, str], Json]) -> None:
    seen = 0
    for call, operation in operations.items():
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        bodies += [_resolved(document, response) for response in operation["responses"].values()]
        for body in bodies:
            for kind, content in body.get("content", {}).items():
                assert content.get("examples"), (call, kind)
                for name, example in content["examples"].items():
                    errors = list(_validator(document, content["schema"]).iter_errors(example["value"]))
                    assert not errors, (call, name, errors[0].message)
                    seen += 1
    assert seen > 100


def test_every_reference_resolves(document: Json) -> None:
    references = list(_references(document))
    assert len(references) > 100
    for reference in references:
        _resolved(document, {"$ref": reference})


def test_links_lead_to_operations_with_their_parameters(operations: dict[tuple[str, str], Json]) -> None:
    by_name = {operation["operationId"]: operation for operation in operations.values()}
    links = [
        link
        for operation in operations.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert len(links) >= 7
    for link in links:
        taken = {parameter["name"] for parameter in by_name[link["operationId"]]["parameters"]}
        assert link["parameters"].keys() <= taken


def test_every_pattern_works_in_python_and_javascript(document: Json) -> None:
    """Patterns use only syntax that both dialects interpret alike."""
    for pattern in set(_values(document, "pattern")):
        re.compile(pattern)
        assert pattern.startswith("^"), pattern
        assert pattern.endswith("$"), pattern
        assert not re.search(r"\\[AZsSdDwWbB]|\(\?", pattern), pattern


@pytest.mark.parametrize(
    ("component", "body", "fits"),
    [
        ("PostRequest", {"caption": "a"}, True),
        ("PostRequest", {"caption": " \n"}, False),
        ("PostRequest", {"media": ["42"]}, True),
        ("PostRequest", {"media": ["42", "42"]}, False),
        ("PostRequest", {"caption": "", "media": []}, False),
        ("PostRequest", {"caption": "a\0"}, False),
        ("PostRequest", {"caption": "a", "else": [{"a": "\0"}]}, False),
        ("PostRequest", {"caption": "a", "else": [{"a": 1}]}, True),
        ("RegistrationRequest", {"username": "ann", "email": "a@b.example", "password": "12345678"}, False),
        ("RegistrationRequest", {"username": "ann", "email": "a@b.example", "password": "1234567a"}, True),
        ("RegistrationRequest", {"username": "ann", "email": "a@b.example", "password": "123456a"}, False),
        ("RegistrationRequest", {"username": "an", "email": "a@b.example", "password": "1234567a"}, False),
        ("RegistrationRequest", {"username": "ann", "email": "a@b", "password": "1234567a"}, False),
        ("PatchedProfileChangeRequest", {"website": ""}, True),
        ("EmailChangeRequest", {"email": "a@b.example"}, False),
        ("EmailChangeRequest", {"email": "a@b.example", "current_password": "x"}, True),
        ("PatchedProfileChangeRequest", {"website": "https://a.example:8080/b?c#d"}, True),
        ("PatchedProfileChangeRequest", {"website": "ftp://a.example"}, False),
    ],
)
def test_request_schemas_accept_and_reject_examples(document: Json, component: str, body: Json, fits: bool) -> None:
    assert _validator(document, {"$ref": f"#/components/schemas/{component}"}).is_valid(body) is fits


def test_the_docs_page_loads_nothing_from_other_hosts(client: Client) -> None:
    page = client.get("/docs").content.decode() + client.get("/docs?script=").content.decode()
    links = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert len(links) >= 4
    links.remove("/docs?script=")  # served by this site
    for link in links:
        assert link.startswith(settings.STATIC_URL), link
        assert finders.find(link.removeprefix(settings.STATIC_URL)), link
    assert '"validatorUrl": null' in page, "the default loads a badge from another host"
    assert not re.search(r"""["'](?:https?:)?//""", page)


def test_the_docs_stylesheet_loads_nothing_from_other_hosts() -> None:
    path = finders.find("drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css")
    assert isinstance(path, str)
    assert not re.search(r"url\(\s*[\"']?(?:https?:)?//|@import", Path(path).read_text())


def _resolved(document: Json, node: Json) -> Json:
    if "$ref" not in node:
        return node
    found: Any = document
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return _resolved(document, found)


def _validator(document: Json, schema: Json) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})


def _references(node: Any) -> Iterator[str]:
    yield from _values(node, "$ref")


def _values(node: Any, key: str) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get(key), str):
            yield node[key]
        for value in node.values():
            yield from _values(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _values(value, key)
