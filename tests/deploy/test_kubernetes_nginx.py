"""nginx of deploy/kubernetes: its files are those of Compose, and it runs with its ConfigMaps."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from deploy.loopback.nginx import envsubst, nginx_executable
from instafeed.devstack.ports import free_port
from instafeed.devstack.state import PROJECT_ROOT
from tests.deploy import compose_file, kustomization
from tests.deploy.kustomization import Object, named
from tests.support.eventually import eventually


def test_nginx_has_all_files_of_compose(objects: list[Object]) -> None:
    workload = named(objects, "Deployment", "nginx")
    (container,) = kustomization.pod(workload)["containers"]
    service = compose_file.raw_file()["services"]["nginx"]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert compose_file.mounts(service).keys() <= mounted
    assert {entry.split(":")[0] for entry in service["tmpfs"]} <= mounted
    snippets = {path.name: path.read_text() for path in (PROJECT_ROOT / "deploy/nginx/snippets").iterdir()}
    assert named(objects, "ConfigMap", "nginx-snippets")["data"] == snippets


def write_nginx(objects: list[Object], directory: Path, **variables: str) -> tuple[list[str], str]:
    """Write the ConfigMaps as the pod has them, and fill in the template as the image's entrypoint does.

    Names of Services are replaced by an address. Return nginx's command line, and the filled-in template.
    """
    names = ("main", "snippets", "site", "entrypoint")
    data = {name: named(objects, "ConfigMap", f"nginx-{name}")["data"] for name in names}
    for name in ("snippets", "conf.d", "state"):
        (directory / name).mkdir()
    for name, text in data["snippets"].items():
        (directory / "snippets" / name).write_text(text)
    (directory / "nginx.conf").write_text(data["main"]["nginx.conf"])
    (directory / "entrypoint").write_text(data["entrypoint"]["15-trusted-proxies.envsh"])
    sourced = subprocess.run(
        ["sh", "-c", '. "$1"; exec env -0', "sh", str(directory / "entrypoint")],
        env={"PATH": "/usr/bin:/bin", **named(objects, "ConfigMap", "nginx")["data"], **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    filled = dict(line.split("=", 1) for line in sourced.stdout.split("\0") if line.startswith("NGINX_"))
    site = envsubst(data["site"]["site.conf.template"], filled)
    (directory / "conf.d" / "site.conf").write_text(re.sub(r"server [a-z.]+:", "server 127.0.0.1:", site))
    return [nginx_executable(), "-p", f"{directory}/state/", "-c", str(directory / "nginx.conf")], site


def test_nginx_accepts_its_configuration(objects: list[Object], nginx_program: str, tmp_path: Path) -> None:
    command, site = write_nginx(objects, tmp_path)
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=200)
    assert checked.returncode == 0, checked.stderr
    assert "${" not in site
    trusted = named(objects, "ConfigMap", "nginx")["data"]["TRUSTED_PROXIES"]
    assert not trusted or f"set_real_ip_from {trusted};" in site


class _Pods(BaseHTTPRequestHandler):
    """The pods behind a Service. Of these connections the first ones end without a response."""

    failing = 0

    def do_GET(self) -> None:
        if _Pods.failing:
            _Pods.failing -= 1
            return
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_failed_pod_does_not_take_the_service_out(production: list[Object], nginx_program: str, tmp_path: Path) -> None:
    """nginx knows one address. It repeats a request there, and goes on using it after failures."""
    pods, port = ThreadingHTTPServer(("127.0.0.1", 0), _Pods), free_port()
    threading.Thread(target=pods.serve_forever, args=[0.05], daemon=True).start()
    address = {"NGINX_API": f"127.0.0.1:{pods.server_port}", "NGINX_LISTEN": f"127.0.0.1:{port}"}
    command, _ = write_nginx(production, tmp_path, **address)
    with subprocess.Popen([*command, "-g", "daemon off;"], stdout=subprocess.DEVNULL) as program:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
                eventually(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
                statuses = []
                for _Pods.failing in (0, 1, 2, 0):
                    statuses.append(client.get("/api/v1/explore").status_code)
                assert statuses == [204, 204, 503, 204], "repeated once; the last one directly after two failures"
        finally:
            program.terminate()  # its workers would outlive a killed nginx
            pods.shutdown()
            pods.server_close()


def test_site_template_differs_in_the_upstream_only() -> None:
    """So that a change of the one for Compose is not forgotten here."""
    compose = (PROJECT_ROOT / "deploy/nginx/templates/site.conf.template").read_text()
    kubernetes = (kustomization.ROOT / "base/site.conf.template").read_text()

    def statements(text: str) -> list[str]:
        lines = [line.partition("  #")[0].strip() for line in text.splitlines()]
        return [line for line in lines if line and not line.startswith(("#", "server ${NGINX_API", "least_conn"))]

    assert statements(compose) == statements(kubernetes)
