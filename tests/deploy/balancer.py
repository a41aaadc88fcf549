"""nginx in front of fake apps, a fake process for streams and a fake object store."""

from __future__ import annotations

import json
import select
import shutil
import socket
import sys
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from rest_framework.exceptions import NotAuthenticated, Throttled

from deploy.loopback import compose, nginx
from deploy.loopback.compose import Service
from deploy.loopback.deployment import COMPOSE_FILE
from deploy.loopback.host_mapping import HostMapping
from deploy.loopback.programs import ProgramFactory
from instafeed.core.api.errors import RequestTooLarge, error_body
from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT
from tests.support.eventually import eventually

PICTURE = f"/media/public/{'k' * 32}/150.webp"
PRIVATE = f"/media/private/{'k' * 32}/150.webp"
EXPORT = f"/media/exports/{'k' * 32}.zip"
UPLOAD = "/api/v1/media"
VERIFICATION = "/api/v1/notifications/unread-count"
TOKEN = {"Authorization": "Bearer t"}
CHUNKED = "Transfer-Encoding: chunked"
TLS = PROJECT_ROOT / "deploy/nginx/tls/tls.conf.template"
HEAD = b"Host: x\r\nConnection: close\r\n"
BODIES = {
    401: error_body(401, NotAuthenticated.default_code, str(NotAuthenticated.default_detail)),
    413: error_body(413, RequestTooLarge.default_code, RequestTooLarge.default_detail),
    429: error_body(429, Throttled.default_code, str(Throttled.default_detail)),
    503: error_body(503),
}


class App(ThreadingHTTPServer):
    """Echoes the request, with `status`. While `dies` is set, it reads a request and closes the connection.

    `token_status` is its response to a token that is valid.

    Its CORS headers are those of MinIO.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.dies = False
        self.status = 200
        self.token_status = 200
        self.requests: list[str] = []
        threading.Thread(target=self.serve_forever, args=[0.05], daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, *arguments: Any) -> None:
        """Ignore connections that a test closes in the middle of a request."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*arguments)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: App

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == VERIFICATION:
            self._answer_verification()
            return
        self.server.requests.append(f"{self.command} {self.path}")
        if self.server.dies:
            self.close_connection = True
            return
        received = {"method": self.command, "path": self.path, "headers": dict(self.headers.items()), "body": len(body)}
        response = json.dumps(received).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(response)))
        self.send_header("Set-Cookie", "a=b")
        self.send_header("Access-Control-Allow-Origin", self.headers.get("Origin") or "https://first.example")
        self.send_header("Access-Control-Allow-Credentials", "true")
        self.send_header("Access-Control-Expose-Headers", "*")
        self.send_header("Vary", "Origin, Accept-Encoding")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response)

    def _answer_verification(self) -> None:
        """Answer nginx, which asks before an upload, as the app does."""
        valid = self.headers["Authorization"] == TOKEN["Authorization"] and self.command == "GET"
        status = self.server.token_status if valid else 401
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if status == 401:
            self.send_header("WWW-Authenticate", 'Bearer realm="api"')
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any

    def log_message(self, *_: object) -> None:
        pass


class Balancer:
    """nginx in front of two apps and an object store."""

    def __init__(self, directory: Path, *, tls: bool = False, **variables: str) -> None:
        self.apps = [App(), App()]
        self.store, self.stream = App(), App()
        self.port, self.tls_port = free_port(), free_port()
        service = compose.read_services(
            COMPOSE_FILE, dict.fromkeys(compose.required_variables(COMPOSE_FILE), "x") | variables
        )["nginx"]
        servers = (*self.apps, self.stream, self.store)
        upstreams = zip(("NGINX_API_1", "NGINX_API_2", "NGINX_STREAM", "NGINX_OBJECT_STORE"), servers, strict=True)
        addresses = {name: app.address for name, app in upstreams} | {
            "NGINX_LISTEN_TLS": f"127.0.0.1:{self.tls_port}",
            "NGINX_TLS_DIR": "../../../tls",  # relative to nginx.conf
        }
        service = Service(**{**vars(service), "environment": service.environment | addresses})
        programs = ProgramFactory(HostMapping(directory), set())
        self.files = programs.mapping.directory("tmp", service.name)
        if tls:
            mounted = programs.mapping.mounts(service)["/etc/nginx/templates"]
            shutil.copy(TLS, mounted)
        self.program = nginx.nginx_program(service, programs, self.port)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False)

    def restart(self) -> None:
        """Restart nginx, so that it uses all apps again."""
        self.program.kill()
        self.program.start()

    def close(self) -> None:
        self.program.kill()
        self.client.close()
        for app in (*self.apps, self.stream, self.store):
            app.shutdown()
            app.server_close()

    def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Send a request and return what reached an app or the object store."""
        response = self.client.request(method, path, **options)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def requests_to_apps(self) -> list[str]:
        return [request for app in self.apps for request in app.requests]

    def raw(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(request)
            response = connection.makefile("rb")
            status = int(response.readline().split()[1])
            headers = {}
            while line := response.readline().decode().strip():
                name, _, value = line.partition(": ")
                headers[name] = value
            return status, headers, response.read(int(headers["Content-Length"]))


def begin_requests(
    stack: ExitStack,
    balancer: Balancer,
    path: str,
    *headers: str,
    allowed: int,
    length: str = "Content-Length: 1000000",
) -> None:
    """Begin requests whose bodies never end, until `allowed` of them wait and three more have been refused."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Authorization: Bearer t", length, *headers]
    connections = []
    for _ in range(allowed + 3):
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", balancer.port)))
        beginning = "f\r\nx" if length == CHUNKED else "x"
        connection.sendall("\r\n".join([*lines, "", beginning]).encode())
        connections.append(connection)
    eventually(lambda: len(select.select(connections, [], [], 0)[0]) == 3)


def upload_status(client: httpx.Client, balancer: Balancer, path: str, **headers: str) -> int:
    return client.post(f"http://127.0.0.1:{balancer.port}{path}", content=b"x", headers=TOKEN | headers).status_code
