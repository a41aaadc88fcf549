"""docker-compose.yml and .env.example: valid, and consistent with each other and with the settings."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from deploy import settings_reference
from instafeed import __version__
from instafeed.core.jobs.queues import QUEUES
from instafeed.devstack.state import PROJECT_ROOT, StackError
from tests.deploy import compose_file, env_example
from tests.support.push_service import decode

RAW = compose_file.raw_file()
SERVICES: dict[str, Any] = compose_file.services()
# Variables that docker-compose.yml sets itself: addresses, and settings that a production server never has.
SET_BY_COMPOSE = {
    *(
        "DATABASE_URL",
        "DATABASE_REPLICA_URLS",
        "DATABASE_DIRECT_URL",
        "REDIS_URL",
        "CELERY_BROKER_URL",
        "CELERY_BROKER_SENTINEL_MASTER",
        "CELERY_BROKER_SENTINEL_PASSWORD",
        "DATABASE_POOL",
        "MEDIA_ROOT",
    ),
    *("BEHIND_PROXY", "NUM_PROXIES", "PROMETHEUS_MULTIPROC_DIR", "METRICS_PORT", "METRICS_BIND", "WEB_BIND", "PORT"),
    *(
        "DEBUG",
        "SERVE_FILES",
        "COMPRESS_RESPONSES",
        "INSTAFEED_STACK_DIR",
        "INSTAFEED_STATIC_ROOT",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ),
}
ONE_SHOT = ("migrate", "minio-init", "primary", "redis-cluster")
OTHER_SECRETS = (
    "POSTGRES_SUPERUSER_PASSWORD",
    "POSTGRES_REPLICATION_PASSWORD",
    "MINIO_ROOT_PASSWORD",
    "FLOWER_PASSWORD",
)


def for_services(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", names or sorted(SERVICES))


def test_file_matches_the_compose_specification() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(compose_file.FILE),
    ]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert checked.returncode == 0, checked.stdout


# --- .env --------------------------------------------------------------------------------------------


def test_every_variable_has_a_line_and_a_comment() -> None:
    lines = env_example.example_lines()
    names = [found[1] for found in map(settings_reference.VARIABLE_LINE.fullmatch, lines) if found]
    assert len(names) == len(set(names))
    for number, line in enumerate(lines):
        if settings_reference.VARIABLE_LINE.fullmatch(line):
            assert re.fullmatch(r"# .*[.:]", lines[number - 1]), line
    assert not [
        line
        for line in lines
        if line and not line.startswith("#") and not settings_reference.VARIABLE_LINE.fullmatch(line)
    ]


def test_example_has_exactly_the_variables_of_settings_and_compose() -> None:
    assert set(env_example.example_values()) == env_example.read_by_the_settings() | compose_file.variables(RAW)


def test_env_file_can_set_every_other_setting() -> None:
    api, worker = (set(SERVICES[name]["environment"]) for name in ("api-1", "worker-media"))
    assert api | worker == env_example.read_by_the_settings() - SET_BY_COMPOSE | (api | worker) & SET_BY_COMPOSE
    for name in env_example.read_by_the_settings() - SET_BY_COMPOSE:
        given = compose_file.services(**{name: "a-value"})["api-1"]["environment"][name]
        assert "a-value" in given, name
    assert SERVICES["api-1"]["environment"] == SERVICES["api-2"]["environment"]


def test_example_values_are_the_defaults() -> None:
    """So a copy of the file changes nothing."""
    examples = {name: value for name, value in env_example.example_values().items() if value}
    copied = compose_file.services(**{name: value for name, value in examples.items() if name not in SET_BY_COMPOSE})
    for name in compose_file.APP_SERVICES:
        differing = {
            variable: (value, SERVICES[name]["environment"][variable])
            for variable, value in copied[name]["environment"].items()
            if value != SERVICES[name]["environment"][variable] and variable != "ALLOWED_HOSTS"
        }
        assert differing == {}, name


def test_missing_secret_is_named() -> None:
    for name in compose_file.SECRETS:
        with pytest.raises(StackError, match=f"^{name} must be set: set it in .env"):
            compose_file.interpolate(RAW["services"], {**compose_file.SECRETS, name: ""})


def dotenv(target: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "deploy/dotenv.py", *options, str(target)], cwd=PROJECT_ROOT, capture_output=True, text=True
    )


def assignments(target: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in target.read_text().splitlines() if re.match(r"[A-Z]", line))


@pytest.fixture(scope="module")
def generated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dotenv") / ".env"
    assert dotenv(target).returncode == 0
    return target


def test_dotenv_generates_all_secrets(generated_file: Path) -> None:
    filled = assignments(generated_file)
    generated = {name: value for name, value in filled.items() if env_example.example_values()[name] != value}
    assert generated.keys() >= compose_file.SECRETS.keys()
    assert len(set(generated.values())) == len(generated)
    key = decode(generated.pop("VAPID_PRIVATE_KEY"))
    ec.derive_private_key(int.from_bytes(key, "big"), ec.SECP256R1())  # raises ValueError for what is no key
    assert len(key) == 32
    assert all(re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", value) for value in generated.values())
    lines = generated_file.read_text().splitlines()
    assert "secret" not in "".join(line for line in lines if not line.startswith("#"))
    assert (
        compose_file.interpolate(RAW["services"], filled)["migrate"]["environment"]["SECRET_KEY"]
        == filled["SECRET_KEY"]
    )


def test_dotenv_file_is_private_and_never_overwritten(generated_file: Path) -> None:
    before = generated_file.read_text()
    assert generated_file.stat().st_mode & 0o777 == 0o600
    again = dotenv(generated_file)
    assert again.returncode == 1
    assert len(again.stderr.splitlines()) == 1
    assert generated_file.read_text() == before


@for_services(*compose_file.APP_SERVICES)
def test_application_gets_no_other_secrets(name: str) -> None:
    service = compose_file.services(FLOWER_PASSWORD="flower-password-of-the-tests")[name]
    assert "env_file" not in service
    given = str(service)
    for secret in OTHER_SECRETS:
        assert f"{secret.lower().replace('_', '-')}-of-the-tests" not in given


@for_services()
def test_command_lines_contain_no_secrets(name: str) -> None:
    service = compose_file.services(FLOWER_PASSWORD="flower-password-of-the-tests")[name]
    for part in ("command", "entrypoint", "healthcheck", "labels", "build"):
        assert "-of-the-tests" not in str(service.get(part))


# --- Containers --------------------------------------------------------------------------------------


@for_services()
def test_images_are_pinned(name: str) -> None:
    service = SERVICES[name]
    if service["image"].startswith("instafeed"):
        assert service["image"] in (f"instafeed:{__version__}", f"instafeed-flower:{__version__}")
    _, _, tag = service["image"].rpartition(":")
    assert re.search(r"\d+\.\d+\.\d+|\d+\.\d+-|RELEASE\.\d{4}-", tag), service["image"]


def test_each_image_is_built_once() -> None:
    """Parallel builds of one tag would conflict."""
    built = [service["image"] for service in SERVICES.values() if "build" in service]
    assert len(built) == len(set(built)) == 2
    others = [service for service in SERVICES.values() if service["image"] in built and "build" not in service]
    assert all("migrate" in service["depends_on"] for service in others)


@for_services(*compose_file.APP_SERVICES, "flower")
def test_starting_a_service_never_builds_its_image(name: str) -> None:
    """After a rollback, a build of the checkout would undo it."""
    assert SERVICES[name]["pull_policy"] == "never"


@pytest.mark.parametrize("page", ["README.md", "docs/deployment.md"])
def test_first_start_is_documented_with_a_build(page: str) -> None:
    """Because `up` builds nothing."""
    text = (PROJECT_ROOT / page).read_text()
    assert re.search(r"deploy/dotenv\.py.*\n    docker compose build\n    docker compose up -d", text)


def test_upgrade_restarts_every_service_that_mounts_files() -> None:
    """`up` does not notice a change of their content."""
    page = (PROJECT_ROOT / "docs" / "upgrading.md").read_text()
    step = page[page.index("5. **Everything else.**") :].partition("\n\nOld and new")[0]
    mounting = {name for name, service in SERVICES.items() if compose_file.mounts(service)}
    assert [name for name in mounting - {"minio-init", "redis-cluster"} if not re.search(rf"\b{name}\b", step)] == []


def test_object_store_is_behind_the_site_by_default() -> None:
    environment = compose_file.services(PUBLIC_URL="https://example.org")["api-1"]["environment"]
    assert environment["AWS_S3_PUBLIC_ENDPOINT_URL"] == "https://example.org"


def test_local_dotenv_has_no_tls(tmp_path: Path) -> None:
    assert dotenv(tmp_path / "a", "--local").returncode == dotenv(tmp_path / "b").returncode == 0
    assert [assignments(tmp_path / name)["HTTPS_ONLY"] for name in "ab"] == ["false", "true"]


@for_services()
def test_mounted_files_exist(name: str) -> None:
    missing = [str(path) for path in compose_file.mounts(SERVICES[name]).values() if not path.exists()]
    assert missing == []
    for volume in SERVICES[name].get("volumes", ()):
        source, target, *options = volume.split(":")
        if source.startswith("./"):
            assert options == ["ro"], volume
        else:
            assert source in RAW["volumes"]
        assert target.startswith("/")


@for_services()
def test_only_nginx_can_be_published(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))
    opened = compose_file.services(HTTP_BIND="0.0.0.0")[name].get("ports", ())
    assert [port for port in opened if not port.startswith("127.0.0.1:")] == (
        ["0.0.0.0:8000:8080"] if name == "nginx" else []
    )


@for_services()
def test_containers_are_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]
    assert not {"privileged", "cap_add", "pid", "network_mode", "devices"} & service.keys()
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")


def test_flower_reaches_the_broker_only() -> None:
    """Neither the network nor the password of another service."""
    assert SERVICES["flower"]["networks"] == ["flower"]
    assert [name for name, service in SERVICES.items() if "flower" in service["networks"]] == ["redis-broker", "flower"]
    given = str(SERVICES["flower"])
    passwords = [name for name, value in compose_file.SECRETS.items() if value in given]
    assert passwords == ["REDIS_BROKER_PASSWORD"]


@for_services()
def test_processes_and_memory_are_limited(name: str) -> None:
    assert SERVICES[name]["pids_limit"]
    if name in compose_file.APP_SERVICES:
        assert size(SERVICES[name]["mem_limit"]) > size("1g"), "the files in /tmp count too"


@for_services("postgres", "postgres-replica", "redis", "redis-broker", "flower", "prometheus", "grafana", "nginx")
def test_ports_of_the_host_can_be_changed(name: str) -> None:
    """Another PostgreSQL or Redis may run there."""
    (port,) = RAW["services"][name]["ports"]
    (variable,) = (one for one in compose_file.variables(port) if one.endswith("_PORT"))
    (changed,) = compose_file.services(**{variable: "7777"})[name]["ports"]
    assert changed.split(":")[1] == "7777"


def test_number_of_workers_is_kept_in_env() -> None:
    """`--scale` would be undone by the next `docker compose up -d`."""
    for name in compose_file.APP_SERVICES:
        if name.startswith("worker-"):
            variable = f"{name.upper().replace('-', '_')}_SCALE"
            assert [compose_file.services(**given)[name]["scale"] for given in ({}, {variable: "3"})] == ["1", "3"]
    pages = (PROJECT_ROOT / "docs").glob("*.md")
    assert [page.name for page in pages if "--scale" in page.read_text()] == []


def test_only_the_object_storage_runs_as_root() -> None:
    """Images that are not named here have a user of their own."""
    own_user = {"flower", "prometheus", "grafana", *compose_file.APP_SERVICES}
    assert [name for name, service in SERVICES.items() if "user" not in service and name not in own_user] == ["minio"]


def test_edge_network_has_no_data_services() -> None:
    edge = {name for name, service in SERVICES.items() if "edge" in service["networks"]}
    assert edge == {"nginx", "api-1", "api-2", "stream", "minio", "prometheus"}
    assert SERVICES["nginx"]["networks"] == ["edge"]
    assert SERVICES["grafana"]["networks"] == ["monitoring"]


def test_fixed_addresses_are_in_the_subnet_and_in_extra_hosts() -> None:
    known = dict(entry.split(":") for entry in SERVICES["nginx"]["extra_hosts"])
    fixed = {
        name: service["networks"]["edge"]["ipv4_address"]
        for name, service in SERVICES.items()
        if isinstance(service["networks"], dict) and service["networks"].get("edge")
    }
    assert known == fixed
    ((subnet,),) = (RAW["networks"]["edge"]["ipam"]["config"],)
    assert all(address.startswith(subnet["subnet"].removesuffix("0/24")) for address in fixed.values())


def test_cluster_is_made_of_the_servers_that_are_documented() -> None:
    (comment,) = re.findall(
        r"Servers of a Redis Cluster.*`(.*)` with `--profile cluster`", "\n".join(env_example.example_lines())
    )
    names = [address.removesuffix(":6379") for address in comment.split(",")]
    addresses = [ip_address(SERVICES[name]["networks"]["data"]["ipv4_address"]) for name in names]
    assert SERVICES["redis-cluster"]["command"].split() == [f"{address}:6379" for address in addresses]
    assert set(SERVICES["redis-cluster"]["depends_on"]) == set(names)
    ((pool,),) = (RAW["networks"]["data"]["ipam"]["config"],)
    assert all(address in ip_network(pool["subnet"]) for address in addresses)
    assert not any(address in ip_network(pool["ip_range"]) for address in addresses), "given to any container"


@pytest.mark.parametrize(
    ("servers", "url"),
    [
        ("", "redis://:redis-password-of-the-tests@redis:6379/0"),
        ("redis-1:6379,redis-2:6379", "redis+cluster://:redis-password-of-the-tests@redis-1:6379,redis-2:6379"),
    ],
)
def test_cache_is_one_server_or_a_cluster(servers: str, url: str) -> None:
    assert compose_file.services(REDIS_CLUSTER=servers)["api-1"]["environment"]["REDIS_URL"] == url


def test_data_services_have_no_dependencies() -> None:
    for name in ("postgres", "redis", "redis-broker"):
        assert not SERVICES[name].get("depends_on")
        assert not SERVICES[name].get("profiles")


def test_dependencies_have_health_checks() -> None:
    for service in SERVICES.values():
        dependencies = service.get("depends_on", {})
        for name, condition in dependencies.items() if isinstance(dependencies, dict) else ():
            if condition["condition"] == "service_healthy":
                assert SERVICES[name]["healthcheck"]["test"]
            elif condition["condition"] == "service_completed_successfully":
                assert SERVICES[name]["restart"] == "no"


def test_everything_uses_the_primary_that_env_names() -> None:
    services = compose_file.services(POSTGRES_PRIMARY="postgres-replica", POSTGRES_REPLICA="postgres")
    for name in compose_file.APP_SERVICES:
        environment = services[name]["environment"]
        assert urlsplit(environment["DATABASE_URL"]).hostname == services["primary"]["environment"]["PGHOST"]
        assert urlsplit(environment["DATABASE_URL"]).hostname == "postgres-replica"
        assert urlsplit(environment["DATABASE_REPLICA_URLS"]).hostname == "postgres"
    for name in ("postgres", "postgres-replica"):
        environment = services[name]["environment"]
        assert (environment["SERVER_NAME"], environment["POSTGRES_PRIMARY"]) == (name, "postgres-replica")
    assert "primary" in services["migrate"]["depends_on"]


def test_no_service_waits_for_a_server_that_may_be_lost() -> None:
    """Only for the service `primary`, which waits for the current primary."""
    for name, service in SERVICES.items():
        conditions = service.get("depends_on", {})
        for server in {"postgres", "postgres-replica"} & set(conditions):
            assert conditions[server]["condition"] == "service_started", name


# --- Workers -----------------------------------------------------------------------------------------


def test_every_queue_has_its_own_worker() -> None:
    commands = [
        shlex.split(SERVICES[name]["command"]) for name in compose_file.APP_SERVICES if name.startswith("worker-")
    ]
    assert sorted(command[command.index("--queues") + 1] for command in commands) == sorted(QUEUES)
    for command in commands:
        # --task-events is for Flower. See instafeed.core.jobs.heartbeat about Celery's own heartbeat.
        assert {"--task-events", "--without-heartbeat", "--without-gossip", "--without-mingle"} <= set(command)


def test_grace_periods_exceed_graceful_shutdown(settings: Any) -> None:
    for name in compose_file.APP_SERVICES:
        grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert grace > settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT
        assert (SERVICES[name].get("stop_signal") == "SIGQUIT") == name.startswith("worker-")
    gunicorn = (PROJECT_ROOT / "deploy" / "gunicorn.conf.py").read_text()
    (graceful,) = re.findall(r"^graceful_timeout = (\d+)", gunicorn, re.MULTILINE)
    assert int(graceful) < int(SERVICES["api-1"]["stop_grace_period"].removesuffix("s"))


def size(text: str) -> int:
    units = {"m": 2**20, "g": 2**30, "mb": 2**20, "gb": 2**30}
    number, unit = re.fullmatch(r"(\d+)([a-z]+)", text).groups()  # type: ignore[union-attr]
    return int(number) * units[unit]


def test_nginx_container_has_room_for_its_files_in_memory() -> None:
    nginx = SERVICES["nginx"]
    sizes = {entry.split(":")[0]: size(entry.rpartition("size=")[2]) for entry in nginx["tmpfs"]}
    assert {"/tmp/bodies", "/tmp/uploads", "/tmp/media"} <= sizes.keys(), "none can fill the space of the others"
    assert size(nginx["mem_limit"]) >= sum(sizes.values()) + 512 * 2**20


def test_cache_container_has_room_for_fragmentation() -> None:
    *_, maxmemory = SERVICES["redis"]["command"].split()
    assert size(SERVICES["redis"]["mem_limit"]) >= 1.5 * size(maxmemory)


# --- Django ------------------------------------------------------------------------------------------


def test_deployment_check_passes(generated_file: Path) -> None:
    """With the generated .env and the site's address. Warnings fail the test."""
    variables = assignments(generated_file) | {"PUBLIC_URL": "https://example.org"}
    environment = compose_file.interpolate(RAW["services"], variables)["api-1"]["environment"]
    checked = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=PROJECT_ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert checked.returncode == 0, checked.stderr
    assert checked.stderr.count("?: ") == 2, "here are no Redis servers whose memory limits it could report"
