"""The OpenAPI description: complete, and exact where it can be."""

from __future__ import annotations

import json
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
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from instafeed.core.api.openapi.description import TAGS

Json = dict[str, Any]

METHODS = {"get", "post", "patch", "delete", "put"}
# Tokens are these calls' own business: 401 says that a password or a refresh token was wrong.
SIGN_IN = {"sign_in", "refresh_tokens", "sign_out"}
CONTRACT = """
POST /auth/register
POST /auth/token
POST /auth/token/refresh
POST /auth/logout
POST /auth/password
GET PATCH DELETE /me
GET /me/export
GET /me/saved
GET /me/follow-requests
GET /me/blocks
GET /me/mutes
POST /me/follow-requests/{username}/accept
POST /me/follow-requests/{username}/reject
DELETE /me/followers/{username}
GET /users
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
GET DELETE /media/{media_id}
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
GET /notifications
POST /notifications/read
GET /notifications/unread-count
"""


def promised() -> set[tuple[str, str]]:
    lines = [line.split() for line in CONTRACT.strip().splitlines()]
    return {(method.lower(), f"/api/v1{path}") for *methods, path in lines for method in methods}


@pytest.fixture(scope="module")
def document() -> Json:
    GENERATOR_STATS.reset()
    return SchemaGenerator().get_schema(request=None, public=True)


@pytest.fixture(scope="module")
def operations(document: Json) -> dict[tuple[str, str], Json]:
    return {
        (method, path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def test_it_is_valid_and_made_without_a_warning(document: Json) -> None:
    validate_schema(document)
    assert document["openapi"].startswith("3.1")
    assert not GENERATOR_STATS


def test_every_call_of_the_contract_is_there(operations: dict[tuple[str, str], Json]) -> None:
    assert promised() <= operations.keys()
    assert {("get", "/health"), ("get", "/health/live"), ("get", "/health/ready")} <= operations.keys()


def test_every_route_is_there_with_all_its_methods(operations: dict[tuple[str, str], Json]) -> None:
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


def test_every_call_is_named_summed_up_and_in_a_described_group(operations: dict[tuple[str, str], Json]) -> None:
    groups = {tag["name"] for tag in TAGS if tag["description"]}
    for call, operation in operations.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", operation["operationId"]), call
        assert 0 < len(operation["summary"]) <= 100, call
        assert operation["description"], call
        assert len(operation["tags"]) == 1, call
        assert set(operation["tags"]) <= groups, call
    names = [operation["operationId"] for operation in operations.values()]
    assert len(set(names)) == len(names)


def test_401_is_an_answer_where_a_token_is_read_and_nowhere_else(operations: dict[tuple[str, str], Json]) -> None:
    for call, operation in operations.items():
        reads_token = {"token": []} in operation.get("security", [])
        assert ("401" in operation["responses"]) == (reads_token or operation["operationId"] in SIGN_IN), call


def test_public_reads_say_that_the_token_is_optional(operations: dict[tuple[str, str], Json]) -> None:
    optional = {path for (_, path), operation in operations.items() if operation.get("security") == [{"token": []}, {}]}
    assert optional == {"/api/v1/users/{username}", "/api/v1/users/{username}/posts", "/api/v1/posts/{post_id}"}


def test_every_call_says_how_it_can_fail(document: Json, operations: dict[tuple[str, str], Json]) -> None:
    for (method, path), operation in operations.items():
        if not path.startswith("/api/"):
            continue
        answers = set(operation["responses"])
        assert "503" in answers, path
        assert not any(status >= "500" for status in answers - {"503"}), path
        assert ("{" in path) <= ("404" in answers), path
        assert ("requestBody" in operation) <= ({"400", "413", "415"} <= answers), path
        for status in answers:
            answer = _resolved(document, operation["responses"][status])
            assert answer["description"], (method, path, status)
            assert "X-Request-ID" in answer["headers"], (method, path, status)
            if status in ("429", "503"):
                assert "Retry-After" in answer["headers"], (method, path, status)
            if status >= "400":
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorResponse"}, (method, path, status)


def test_every_body_has_an_example_that_is_one(document: Json, operations: dict[tuple[str, str], Json]) -> None:
    seen = 0
    for call, operation in operations.items():
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        bodies += [_resolved(document, answer) for answer in operation["responses"].values()]
        for body in bodies:
            for kind, content in body.get("content", {}).items():
                assert content.get("examples"), (call, kind)
                for name, example in content["examples"].items():
                    errors = list(_validator(document, content["schema"]).iter_errors(example["value"]))
                    assert not errors, (call, name, errors[0].message)
                    seen += 1
    assert seen > 100


def test_every_reference_leads_somewhere(document: Json) -> None:
    references = list(_references(document))
    assert len(references) > 100
    for reference in references:
        _resolved(document, {"$ref": reference})


def test_links_lead_from_what_was_made_to_what_can_be_done_with_it(operations: dict[tuple[str, str], Json]) -> None:
    by_name = {operation["operationId"]: operation for operation in operations.values()}
    links = [
        link
        for operation in operations.values()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) >= 7
    for link in links:
        taken = {parameter["name"] for parameter in by_name[link["operationId"]]["parameters"]}
        assert link["parameters"].keys() <= taken


def test_every_pattern_can_be_read_here_and_in_a_browser(document: Json) -> None:
    """Python's dialect and JavaScript's agree on what these are made of."""
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
        ("PatchedProfileChangeRequest", {"website": "https://a.example:8080/b?c#d"}, True),
        ("PatchedProfileChangeRequest", {"website": "ftp://a.example"}, False),
    ],
)
def test_requests_are_described_exactly(document: Json, component: str, body: Json, fits: bool) -> None:
    assert _validator(document, {"$ref": f"#/components/schemas/{component}"}).is_valid(body) is fits


def test_it_is_served_to_everybody(client: Client, document: Json) -> None:
    answer = client.get("/schema")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("application/vnd.oai.openapi+json")
    assert json.loads(answer.content) == json.loads(json.dumps(document))


def test_the_page_of_the_docs_asks_no_other_host(client: Client) -> None:
    page = client.get("/docs").content.decode() + client.get("/docs?script=").content.decode()
    links = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert len(links) >= 4
    links.remove("/docs?script=")  # our own
    for link in links:
        assert link.startswith(settings.STATIC_URL), link
        assert finders.find(link.removeprefix(settings.STATIC_URL)), link
    assert '"validatorUrl": null' in page, "its default is a badge from another host"
    assert not re.search(r"""["'](?:https?:)?//""", page)


def test_the_stylesheet_of_the_docs_asks_no_other_host() -> None:
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
