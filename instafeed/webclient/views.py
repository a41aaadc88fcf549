"""The document of the web client, its manifest and its service worker.

Everyone gets the same document for a path. For a public profile or post it describes what is there, for crawlers and
for previews of links; the client then reads all that it shows from the API.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from csp.constants import HEADER, SELF
from csp.utils import build_policy
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.text import Truncator
from django.views.decorators.http import require_safe

from accounts.user_cache import get_user_summaries
from instafeed.core import storage_settings
from instafeed.core.api import errors
from instafeed.core.api.throttling import Bucket, client_address, count_silently
from instafeed.core.db.snowflake import parse_id
from instafeed.webclient import modules
from posts.visibility import render_visible_post
from social.visibility import get_visible_user

_MAX_DESCRIPTION = 200  # characters
_MAIN_MODULE = "webclient/js/main.js"
_STYLES = "webclient/css/main.css"
_ICON = "instafeed/icon.svg"
_ICON_SIZES = (192, 512)  # pixels


@dataclass(frozen=True)
class Preview:
    """What a link's preview shows (https://ogp.me). Empty texts are left out."""

    title: str
    description: str = ""
    image: str = ""
    image_alt: str = ""
    kind: str = "website"


@require_safe
def page(request: HttpRequest, **_: str) -> HttpResponse:
    return _document(request, None)


@require_safe
def post_page(request: HttpRequest, post_id: str) -> HttpResponse:
    return _document(request, _preview(request, lambda: _post_preview(post_id)))


@require_safe
def profile_page(request: HttpRequest, username: str) -> HttpResponse:
    return _document(request, _preview(request, lambda: _profile_preview(username)))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a browser at an address that does not exist with the client, which says so; others in their own form."""
    is_page = request.method in ("GET", "HEAD") and "text/html" in request.headers.get("Accept", "")
    if not is_page or errors.is_api_request(request) or request.path.startswith(reverse("admin:index")):
        return errors.not_found(request, exception)
    response = _document(request, None)
    response.status_code = 404
    return response


@require_safe
def manifest(request: HttpRequest) -> HttpResponse:
    """The web app manifest: with it the client can be installed."""
    icons = [{"src": static(_ICON), "type": "image/svg+xml", "sizes": "any"}]
    # Square and without transparent corners, so that systems can cut them to their own shape.
    for size in _ICON_SIZES:
        picture = {"src": static(f"webclient/icon-{size}.png"), "type": "image/png", "sizes": f"{size}x{size}"}
        icons += [picture, {**picture, "purpose": "maskable"}]
    content = {
        "name": settings.SITE_NAME,
        "short_name": settings.SITE_NAME,
        "start_url": "/",
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": "#ffffff",
        "icons": icons,
    }
    response = JsonResponse(content, content_type="application/manifest+json")
    patch_cache_control(response, max_age=3_600)
    return response


@require_safe
def service_worker(request: HttpRequest) -> HttpResponse:
    """The service worker, with the addresses of the files that it keeps for offline use, and of its icon."""
    files = json.dumps(_shell_files())
    version = hashlib.sha256(files.encode()).hexdigest()[:16]
    icon = json.dumps(static(f"webclient/icon-{_ICON_SIZES[0]}.png"))
    constants = f'const FILES = {files};\nconst VERSION = "{version}";\nconst ICON = {icon};\n'
    script = constants + modules.read("webclient/service-worker.js")
    response = HttpResponse(script, content_type="text/javascript")
    patch_cache_control(response, no_cache=True)
    return response


def _document(request: HttpRequest, preview: Preview | None) -> HttpResponse:
    context = {
        "site_name": settings.SITE_NAME,
        "site_description": settings.INSTANCE_DESCRIPTION,
        "preview": preview,
        "url": request.build_absolute_uri(request.path),
        "main_module": static(_MAIN_MODULE),
        "styles": static(_STYLES),
        "icon": static(_ICON),
        "touch_icon": static(f"webclient/icon-{_ICON_SIZES[0]}.png"),
        "modules": [static(name) for name in module_names()],
    }
    response = render(request, "webclient/page.html", context)
    response[HEADER] = _policy()
    patch_cache_control(response, no_cache=True)
    return response


def _preview(request: HttpRequest, build: Callable[[], Preview]) -> Preview | None:
    """Return the preview, or None if anonymous visitors see nothing there or the client has sent too many requests."""
    if not count_silently(request, Bucket("anon", client_address(request))):
        return None
    try:
        return build()
    except Http404:
        return None


def _post_preview(post_id: str) -> Preview:
    number = parse_id(post_id)
    if number is None:
        raise Http404
    post = json.loads(render_visible_post(None, number))
    media = next((each for each in post["media"] if each["url"]), None)
    return Preview(
        title=f"{post['author']['display_name'] or post['author']['username']} (@{post['author']['username']})",
        description=Truncator(post["caption"]).chars(_MAX_DESCRIPTION),
        image=media["url"] if media else "",
        image_alt=media["alt_text"] if media else "",
        kind="article",
    )


def _profile_preview(username: str) -> Preview:
    user = get_visible_user(None, username)
    summary = json.loads(get_user_summaries([user.pk])[user.pk])
    return Preview(
        title=f"{summary['display_name'] or user.username} (@{user.username})",
        description=Truncator(user.bio).chars(_MAX_DESCRIPTION),
        image=summary["avatar_url"] or "",
        kind="profile",
    )


@lru_cache
def module_names() -> list[str]:
    """Return the static names of the modules that the first page loads, so that browsers fetch them at once."""
    return modules.imported_modules(_MAIN_MODULE)


def _shell_files() -> list[str]:
    if settings.DEBUG:  # names without hashes: a kept file would hide changes
        return []
    return [static(name) for name in (_MAIN_MODULE, _STYLES, _ICON, *module_names())]


@lru_cache
def _policy() -> str:
    """Return the site's Content-Security-Policy with previews of chosen pictures and direct uploads."""
    uploads = storage_settings.upload_origins()
    policy: str = build_policy(
        update={"img-src": ["blob:"], "connect-src": uploads, "manifest-src": [SELF], "worker-src": [SELF]}
    )
    return policy
