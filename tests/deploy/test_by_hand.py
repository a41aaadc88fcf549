"""The programs by hand: deploy/systemd, nginx and Prometheus of Debian, as docs/deployment.md says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
import yaml

from deploy.loopback.units import UNITS, Unit, read_environment_file, run_oneshot
from instafeed.core.jobs.queues import QUEUES
from instafeed.devstack.child_process import Child, stop_children
from instafeed.devstack.postgres_wheel import make_parents_traversable
from instafeed.devstack.state import PROJECT_ROOT
from tests.deploy import compose_file
from tests.deploy.documented_host import DocumentedHost
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.pictures import jpeg
from tests.support.programs import needs

TARGET = Unit("instafeed.target")
PROGRAMS = [Unit(name) for name in TARGET.words("Wants")]
SERVICES: dict[str, Any] = compose_file.services()
MAX_EXPOSURE = 20  # tenths of what `systemd-analyze security` calls exposure
systemd = needs(shutil.which("systemd-analyze"), "systemd")


def compose_name(unit: Unit) -> str:
    """Return the service of docker-compose.yml that is the same program."""
    if unit.prefix == "instafeed-web":
        return f"api-{int(unit.instance) - 8000}"
    name = unit.prefix.removeprefix("instafeed-")
    return f"{name}-{unit.instance.replace('_', '-')}" if unit.instance else name


def analyze(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze on the units, whose program exists in the checkout."""
    shutil.copytree(UNITS, directory / "units")
    for path in (directory / "units").glob("*.service"):
        text = path.read_text().replace("/opt/instafeed/.venv/bin/", "/usr/bin/env ")
        path.write_text(text.replace("/opt/instafeed/", f"{PROJECT_ROOT}/"))
    names = [f"./{path.name}" for path in sorted((directory / "units").iterdir()) if path.is_file() and path.suffix]
    command = ["systemd-analyze", "--no-pager", *arguments, *names]
    return subprocess.run(command, cwd=directory / "units", capture_output=True, text=True, timeout=200)


@systemd
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    checked = analyze(tmp_path, "verify")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@systemd
@pytest.mark.parametrize("unit", PROGRAMS, ids=lambda unit: unit.name)
def test_programs_are_confined(unit: Unit) -> None:
    name = re.sub("@.*[.]", "@.", unit.name)
    rated = subprocess.run(
        ["systemd-analyze", "--no-pager", "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", f"./{name}"],
        cwd=UNITS,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert rated.returncode == 0, rated.stdout


def test_target_has_the_programs_of_the_compose_file() -> None:
    assert sorted(map(compose_name, PROGRAMS)) == sorted({*compose_file.APP_SERVICES, "migrate"})


def words(text: str) -> list[str]:
    """Return a command with names instead of the paths of its program and of beat's schedule."""
    names = [word.rpartition("/")[2] if word.startswith("/") else word for word in text.split()]
    # A worker's name is that of its queue, in the compose file with hyphens.
    return [word.replace("-", "_") if word.endswith("@%h") else word for word in names]


@pytest.mark.parametrize("unit", PROGRAMS, ids=lambda unit: unit.name)
def test_commands_and_stops_are_those_of_the_compose_file(unit: Unit) -> None:
    service = SERVICES[compose_name(unit)]
    command = service.get("command") or "python -m gunicorn -c deploy/gunicorn.conf.py instafeed.wsgi:application"
    own = dict(word.split("=", 1) for word in unit.words("Environment"))
    started = unit.values("ExecStart")[0].replace("${CONCURRENCY}", own.get("CONCURRENCY", ""))
    assert words(started) == words(command)
    if unit.value("Type") != "oneshot":
        assert unit.value("KillSignal", "SIGTERM") == service.get("stop_signal", "SIGTERM")
        assert unit.value("KillMode") == "mixed"
        assert unit.value("TimeoutStopSec") == service["stop_grace_period"].removesuffix("s")
        assert unit.value("MemoryMax").lower() == service["mem_limit"]
        assert unit.value("Restart") == "always"


def test_changes_of_an_operator_win(tmp_path: Path) -> None:
    """`systemctl edit` writes them to override.conf."""
    units = shutil.copytree(UNITS, tmp_path / "units")
    (units / "instafeed-worker@media.service.d" / "override.conf").write_text(
        "[Service]\nEnvironment=CONCURRENCY=6\nMemoryMax=12G\n"
    )
    unit = Unit("instafeed-worker@media.service", units)
    assert dict(word.split("=", 1) for word in unit.words("Environment"))["CONCURRENCY"] == "6"
    assert (unit.value("MemoryMax"), Unit("instafeed-worker@media.service").value("MemoryMax")) == ("12G", "4G")


def test_waiting_for_a_server_ends_with_its_process() -> None:
    """A server with a wrong setting ends at once; the start of its unit must fail then, not after a minute."""
    with subprocess.Popen(["sleep", "0.2"]) as process:
        waiting = subprocess.Popen([str(UNITS / "instafeed-await"), str(process.pid), "1"])
        process.wait()
        assert waiting.wait(timeout=100) == 1
    assert subprocess.run([str(UNITS / "instafeed-await"), "8001"]).returncode == 1, "it has ended before"


def test_waiting_asks_the_address_of_the_server() -> None:
    class Live(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health/live" else 404)
            self.end_headers()

    with HTTPServer(("127.0.0.2", 0), Live) as server:
        Thread(target=server.serve_forever).start()
        command = [str(UNITS / "instafeed-await"), str(os.getpid()), str(server.server_port)]
        ended = subprocess.run(command, env=os.environ | {"WEB_BIND": "127.0.0.2"}, timeout=100)
        server.shutdown()
    assert ended.returncode == 0


def test_programs_share_no_port_and_no_metrics() -> None:
    environments = [dict(word.split("=", 1) for word in unit.words("Environment")) for unit in PROGRAMS]
    ports = [one[name] for one in environments for name in ("PORT", "METRICS_PORT") if name in one]
    assert len(ports) == len(set(ports)) == 3 + len(QUEUES)
    directories = [one["PROMETHEUS_MULTIPROC_DIR"] for one in environments if "PROMETHEUS_MULTIPROC_DIR" in one]
    assert len(set(directories)) == len(ports)
    for unit, one in zip(PROGRAMS, environments, strict=True):
        # systemd removes it when the unit stops.
        assert [f"/run/{name}" for name in unit.words("RuntimeDirectory")] == [
            path for name, path in one.items() if name == "PROMETHEUS_MULTIPROC_DIR"
        ]


def test_prometheus_reads_every_program() -> None:
    jobs = {
        job["job_name"]: job
        for job in yaml.safe_load((PROJECT_ROOT / "deploy/prometheus/by-hand.yml").read_text())["scrape_configs"]
    }
    wanted: dict[str, dict[str, str]] = {"api": {}, "stream": {}, "worker": {}}
    for unit in PROGRAMS:
        own = dict(word.split("=", 1) for word in unit.words("Environment"))
        job = unit.prefix.removeprefix("instafeed-").replace("web", "api")
        if job in wanted:
            service = unit.name.removesuffix(".service") if job == "worker" else ""
            wanted[job][f"127.0.0.1:{own.get('METRICS_PORT') or own['PORT']}"] = service
    for job, targets in wanted.items():
        found = {
            target: config.get("labels", {}).get("service", "")
            for config in jobs[job]["static_configs"]
            for target in config["targets"]
        }
        assert found == targets


def directives(path: str, start: str) -> set[str]:
    """Return the directives of an nginx file from a line on, as far as they are the same in all deployments."""
    text = re.sub(r"#.*", "", (PROJECT_ROOT / "deploy/nginx" / path).read_text())
    own = r"\$\{|^server 127|^listen|_log |proxy_cache_path|proxy_cache_valid|^location|^client_max|upload_space|to_api"
    lines = {line.strip() for line in text[text.index(start) :].splitlines()}
    return {line for line in lines if line and not re.search(own, line)}


def test_nginx_has_the_directives_of_the_other_deployments() -> None:
    by_hand = directives("by-hand/instafeed.conf", "upstream api")
    assert by_hand - {"min_free=256m inactive=7d use_temp_path=off;"} == directives(
        "templates/site.conf.template", "upstream api"
    ) - {"min_free=256m inactive=7d use_temp_path=off;"}


@pytest.mark.parametrize("url", ["example.org", "https://example.org/", "ftp://example.org"])
def test_dotenv_refuses_what_is_no_origin(tmp_path: Path, url: str) -> None:
    command = [sys.executable, "deploy/dotenv.py", "--by-hand", "--url", url, str(tmp_path / "env")]
    refused = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=200)
    assert refused.returncode == 1
    assert refused.stderr == f"dotenv: --url must be an origin, as in https://example.org, not {url}\n"
    assert not (tmp_path / "env").exists()


# --- The documents ---------------------------------------------------------------------------------------

OPERATORS_PAGES = ("runbook.md", "upgrading.md", "backup.md", "load-balancer.md")


@pytest.mark.parametrize("page", OPERATORS_PAGES)
def test_what_has_a_command_for_containers_has_one_by_hand(page: str) -> None:
    text = (PROJECT_ROOT / "docs" / page).read_text()
    sections = re.split(r"^(?=#+ |\d\. )", text, flags=re.MULTILINE)
    of_containers = [section for section in sections if re.search(r"`docker |^ +docker ", section, re.MULTILINE)]
    assert of_containers
    by_hand = r"\b[Bb]y\s+hand\b"
    assert [section.partition("\n")[0] for section in of_containers if not re.search(by_hand, section)] == []


def test_units_in_the_documents_exist() -> None:
    names = set()
    for page in (PROJECT_ROOT / "docs").glob("*.md"):
        for command in re.findall(r"(?:systemctl|journalctl|systemd-analyze) [^`\n#]*", page.read_text()):
            names |= set(re.findall(r"\binstafeed(?:-[a-z]+(?:@\w+)?|\.target)", command))
    assert {"instafeed.target", "instafeed-worker@media", "instafeed-web@8001"} <= names
    known = {unit.name.removesuffix(".service") for unit in PROGRAMS} | {unit.prefix for unit in PROGRAMS}
    known.add("instafeed.target")
    assert names - known == set()


# --- Running ---------------------------------------------------------------------------------------------


class Site(DocumentedHost):
    """A documented host that runs, with a client of its nginx."""

    base_url: str
    client: httpx.Client


@pytest.fixture
def site(nginx_program: str) -> Iterator[Site]:
    if not Path("/etc/nginx/sites-available").is_dir():
        pytest.skip("this nginx is not Debian's")
    with ExitStack() as stack:
        # Not tmp_path: PostgreSQL and nginx run as other accounts.
        directory = tempfile.TemporaryDirectory(prefix="instafeed-by-hand-", ignore_cleanup_errors=True)
        site = Site(Path(stack.enter_context(directory)))
        make_parents_traversable(site.path("/etc"))
        site.base_url = f"http://127.0.0.1:{site.port(80)}"
        site.client = stack.enter_context(httpx.Client(base_url=site.base_url, timeout=60, trust_env=False))
        yield site


@pytest.mark.xdist_group("loopback")
@pytest.mark.timeout(600)
def test_site_by_hand_serves_and_stops_as_documented(site: Site, promtool: str) -> None:
    children: list[Child] = []
    try:
        children += start_data_services(site)
        install_programs(site)
        programs = site.programs()
        children += programs
        for program in programs:
            program.launch()
        nginx = start_nginx(site)
        children.append(nginx)
        for program in programs:
            program.wait_ready(240)
        eventually(lambda: site.client.get("/health").json().get("status") == "ok")
        password = "a long enough secret\n"
        assert "operator" in site.shell("instafeed-manage create_user operator --email a@example.org --admin", password)
        assert_feed_has_a_post_with_a_picture(site)
        assert_prometheus_reads_everything(site, promtool)
        stop_children([nginx])
        stop_children(programs)
        for program in programs:
            assert program.poll() in (0, -program.stop_signals[0]), program.name
    except BaseException as error:
        error.add_note(site.log_ends())
        raise
    finally:
        stop_children(reversed(children))


def start_data_services(site: Site) -> list[Child]:
    """Write the settings, and start PostgreSQL and both Redis servers with them."""
    site.run("Settings", replace={"https://example.org": site.base_url})
    assert site.settings.stat().st_mode & 0o777 == 0o600
    site.localize("/etc/instafeed")
    with site.settings.open("a") as file:
        file.write("WEB_WORKERS=1\nWEB_THREADS=4\n")
    site.start_postgres()
    children: list[Child] = [site.primary]
    site.path("/etc/postgresql/18/main/conf.d").mkdir(parents=True)
    site.run("PostgreSQL")
    site.path("/etc/redis").mkdir()
    site.run("Redis")
    for server in (site.redis("cache", 6379), site.redis("broker", 6380)):
        server.start()
        children.append(server)
    return children


def install_programs(site: Site) -> None:
    shutil.copy(UNITS / "instafeed-manage", site.path("/usr/local/sbin"))
    site.localize("/usr/local/sbin")
    site.run("Programs", replace={" --fail-level WARNING": ""})  # it warns that there is no TLS
    run_oneshot(site.unit("instafeed-migrate.service"), site.host, site.logs)


def start_nginx(site: Site) -> Child:
    site.copy_debians_nginx()
    site.run("nginx")
    nginx = site.nginx()
    nginx.start()
    return nginx


def assert_feed_has_a_post_with_a_picture(site: Site) -> None:
    reader, author = HttpUser(site), HttpUser(site)
    reader.follow(author)
    sent = author.call("POST", "/media", files={"file": ("a.jpg", jpeg(400, 300), "image/jpeg")})
    assert sent.status_code == 202, sent.text
    media_id = sent.json()["id"]
    eventually(lambda: author.get(f"/media/{media_id}")["status"] == "ready")
    post = author.call("POST", "/posts", json={"caption": "by hand", "media": [media_id]})
    eventually(lambda: reader.feed() == [post.json()["id"]])
    picture = author.get(f"/media/{media_id}")["url"]
    assert picture.startswith(f"{site.base_url}/files/")
    assert site.client.get(picture).headers["Content-Type"] == "image/webp"
    assert "/files/" not in (site.path("/var/log") / "nginx" / "instafeed.log").read_text()


def assert_prometheus_reads_everything(site: Site, promtool: str) -> None:
    for name in ("prometheus", "default"):
        (site.path("/etc") / name).mkdir()
    (site.path("/etc") / "default" / "prometheus").write_text('ARGS=""\n')
    site.run("Prometheus")
    site.localize("/etc/prometheus")
    file = site.path("/etc/prometheus") / "prometheus.yml"
    checked = subprocess.run([promtool, "check", "config", file], capture_output=True, text=True, timeout=200)
    assert checked.returncode == 0, checked.stderr
    token = read_environment_file(site.settings)["METRICS_TOKEN"]
    assert (file.parent / "metrics_token").read_text().strip() == token
    for target, path in targets(file):
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(f"http://{target}{path}", headers=headers, trust_env=False, timeout=60)
        assert answer.status_code == 200, target


def targets(path: Path) -> list[tuple[str, str]]:
    """Return address and path of each target but Prometheus itself."""
    jobs = yaml.safe_load(path.read_text())["scrape_configs"]
    return [
        (target, job.get("metrics_path", "/metrics"))
        for job in jobs
        if job["job_name"] != "prometheus"
        for config in job["static_configs"]
        for target in config["targets"]
    ]
