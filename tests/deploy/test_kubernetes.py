"""deploy/kubernetes: valid, confined, and consistent with docker-compose.yml and the settings."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import kubernetes_validate
import psycopg
import pytest
import yaml

from instafeed import __version__
from instafeed.core.jobs.leased import LeasedJob
from instafeed.core.jobs.queues import QUEUES
from instafeed.devstack.state import PROJECT_ROOT
from instafeed.stream import hub, server
from tests.deploy import compose_file, env_example, kustomization
from tests.deploy.kustomization import COMPONENT, Object, Peer, named
from tests.support.eventually import eventually

VERSIONS = ("1.30", "1.37")  # the oldest whose features are used, and the newest whose schemas the package holds
PROGRAMS = ("web", "stream", "worker", "beat", "migrate")  # that run the application's image
# tests/system/core/test_beat_lease.py shows what it does.
LEASED_SCHEDULER = ["--scheduler", "instafeed.core.jobs.beat_scheduler:LeasedScheduler"]
# Values of the Secret as in docs/kubernetes.md. The database and Redis are where the overlay's policy allows them.
HOSTS = {"small": "db.data.svc", "production": "10.20.0.5"}


def secret(overlay: str) -> dict[str, str]:
    example = kustomization.secret_example()
    filled = {name: value.replace("HOST", HOSTS[overlay]) for name, value in example.items()}
    return filled | {
        "SECRET_KEY": "signs-nothing-that-leaves-the-tests-0123456789-abcdefghij",
        "METRICS_TOKEN": "token",
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_objects_match_the_schemas(objects: list[Object], version: str) -> None:
    for one in objects:
        assert kubernetes_validate.validate(one, version, strict=True) == version


def test_schemas_refuse_an_unknown_field(production: list[Object]) -> None:
    web = named(production, "Deployment", "web")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**web, "spec": {**web["spec"], "replica": 2}}, "1.37", strict=True)


def test_base_builds_alone() -> None:
    assert {"web", "nginx", "beat", "migrate"} < kustomization.workloads(kustomization.build("base")).keys()


def test_references_lead_to_objects(objects: list[Object]) -> None:
    """ConfigMaps by their names with a hash, Services, and the Deployments of autoscalers and budgets."""
    names = {(one["kind"], one["metadata"]["name"]) for one in objects}
    for workload in kustomization.workloads(objects).values():
        for volume in kustomization.pod(workload)["volumes"]:
            assert "configMap" not in volume or ("ConfigMap", volume["configMap"]["name"]) in names
        selector = workload["spec"].get("selector", {}).get("matchLabels", {})
        assert selector.items() <= kustomization.labels(workload).items()
    pods = [kustomization.labels(workload) for workload in kustomization.workloads(objects).values()]
    for one in objects:
        if one["kind"] == "HorizontalPodAutoscaler":
            target = one["spec"]["scaleTargetRef"]
            assert (target["kind"], target["name"]) in names
            assert "replicas" not in named(objects, "Deployment", target["name"])["spec"], (
                "apply would undo the scaling"
            )
        selector = one["spec"]["selector"] if one["kind"] in ("Service", "PodDisruptionBudget") else {}
        wanted = selector.get("matchLabels", selector)
        assert any(wanted.items() <= found.items() for found in pods), one["metadata"]["name"]
        if one["kind"] == "Ingress":
            ((path,),) = [rule["http"]["paths"] for rule in one["spec"]["rules"]]
            assert ("Service", path["backend"]["service"]["name"]) in names
        if one["kind"] != "Namespace":
            assert one["metadata"]["namespace"] == "instafeed"


# --- Pods --------------------------------------------------------------------------------------------


def test_no_container_runs_as_root(objects: list[Object]) -> None:
    """The profile `restricted` of the Pod Security Standards, which the namespace enforces."""
    namespace = named(objects, "Namespace", "instafeed")["metadata"]["labels"]
    assert namespace["pod-security.kubernetes.io/enforce"] == "restricted"
    uid = re.search(r"useradd .*--uid (\d+)", (PROJECT_ROOT / "Dockerfile").read_text())
    assert uid
    for name, workload in kustomization.workloads(objects).items():
        pod = kustomization.pod(workload)
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == (101 if name == "nginx" else int(uid[1]))
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert all("emptyDir" in volume or "configMap" in volume for volume in pod["volumes"])
        for container in kustomization.containers(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_all_containers_have_requests_and_limits(objects: list[Object]) -> None:
    for workload in kustomization.workloads(objects).values():
        for container in kustomization.containers(workload):
            for kind in ("requests", "limits"):
                assert container["resources"][kind].keys() == {"cpu", "memory"}, container["name"]


def test_memory_limits_are_at_least_those_of_compose(objects: list[Object]) -> None:
    """They count the files in /tmp, too."""
    for name, service in compose_file.services().items():
        if name.startswith("worker-media") or name == "nginx":
            (container,) = kustomization.pod(named(objects, "Deployment", name))["containers"]
            assert mebibytes(container["resources"]["limits"]["memory"]) >= mebibytes(service["mem_limit"])
    for workload in kustomization.workloads(objects).values():
        files = [
            volume.get("emptyDir", {}).get("sizeLimit", "0Mi") for volume in kustomization.pod(workload)["volumes"]
        ]
        (container,) = kustomization.pod(workload)["containers"]
        if workload["metadata"]["name"] not in ("beat", "migrate"):  # which write next to nothing
            assert mebibytes(container["resources"]["limits"]["memory"]) >= sum(map(mebibytes, files)) + 512


def mebibytes(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([GMgm])i?", text).groups()  # type: ignore[union-attr]
    return int(number) * (1024 if unit in "Gg" else 1)


def test_images_are_pinned(objects: list[Object]) -> None:
    workloads = kustomization.workloads(objects).values()
    images = {container["image"] for one in workloads for container in kustomization.containers(one)}
    nginx = compose_file.raw_file()["services"]["nginx"]["image"]
    assert images == {f"registry.example.com/instafeed:{__version__}", nginx}


def test_programs_are_those_of_compose(objects: list[Object]) -> None:
    """Also: each queue has one Deployment."""
    services = compose_file.services()
    for name, workload in kustomization.workloads(objects).items():
        if name != "web":
            (container,) = kustomization.pod(workload)["containers"]
            command = services[name]["command"]
            words = shlex.split(command) if isinstance(command, str) else command
            assert container["args"] == words + (LEASED_SCHEDULER if name == "beat" else [])
            assert "command" not in container, "it would replace nginx's entrypoint"
    workers = [
        kustomization.labels(one)["queue"]
        for one in kustomization.workloads(objects).values()
        if kustomization.labels(one)[COMPONENT] == "worker"
    ]
    assert sorted(workers) == sorted(QUEUES)
    for name, workload in kustomization.workloads(objects).items():
        if name.startswith("worker-"):
            (container,) = kustomization.pod(workload)["containers"]
            assert container["args"][container["args"].index("--queues") + 1] == kustomization.labels(workload)["queue"]


def test_grace_periods_exceed_graceful_shutdown(objects: list[Object], settings: Any) -> None:
    gunicorn = (PROJECT_ROOT / "deploy" / "gunicorn.conf.py").read_text()
    nginx = (PROJECT_ROOT / "deploy" / "nginx" / "nginx.conf").read_text()
    needed = {
        "web": int(re.findall(r"^graceful_timeout = (\d+)", gunicorn, re.MULTILINE)[0]),
        "nginx": int(re.findall(r"^worker_shutdown_timeout (\d+)s", nginx, re.MULTILINE)[0]),
        "stream": hub.END_TIMEOUT + server.GRACE,
    }
    for name, workload in kustomization.workloads(objects).items():
        (container,) = kustomization.pod(workload)["containers"]
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert (before > 0) == (name in needed), "endpoints are removed before the server stops"
        if name.startswith("worker-"):
            # tests/system/core/test_graceful_shutdown.py shows what it does.
            assert {"name": "REMAP_SIGTERM", "value": "SIGQUIT"} in container["env"]
        elif name not in needed:
            continue
        graceful = needed.get(name, settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT)
        assert kustomization.pod(workload)["terminationGracePeriodSeconds"] >= before + graceful + 5


def test_rollouts_keep_all_pods(objects: list[Object]) -> None:
    for workload in kustomization.workloads(objects).values():
        if workload["metadata"]["name"] != "migrate":
            assert workload["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_probes_ask_existing_paths(objects: list[Object]) -> None:
    (web,) = kustomization.pod(named(objects, "Deployment", "web"))["containers"]
    probes = {kind: web[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    # Ready without the primary, as docs/architecture.md promises that some reads work.
    assert probes == {"startup": "/health/ready", "readiness": "/health/live", "liveness": "/health/live"}
    for name, workload in kustomization.workloads(objects).items():
        (container,) = kustomization.pod(workload)["containers"]
        ports = {port["name"] for port in container.get("ports", ())}
        for kind in ("startup", "readiness", "liveness"):
            probe = container.get(f"{kind}Probe", {})
            assert {action["port"] for key in ("httpGet", "tcpSocket") if (action := probe.get(key))} <= ports, name


# --- Settings ----------------------------------------------------------------------------------------


def test_variables_are_settings(objects: list[Object], overlay: str) -> None:
    """Of the application, or of what starts it."""
    known = env_example.read_by_the_settings() | {"REMAP_SIGTERM", "POD_IP", "SITE_HOSTS"}
    for workload in kustomization.workloads(objects).values():
        if kustomization.labels(workload)[COMPONENT] in PROGRAMS:
            for container in kustomization.containers(workload):
                assert kustomization.environment(objects, container, secret(overlay)).keys() <= known


def test_secret_has_every_secret_and_nothing_else(objects: list[Object]) -> None:
    """A secret is marked in .env.example, or has a URL or a key in its name. All programs refer to the Secret."""
    example = kustomization.secret_example()
    assert example.keys() <= env_example.read_by_the_settings()
    marked = {
        line.split("=")[0].removeprefix("# ")
        for line in env_example.example_lines()
        if line.endswith("# secret") and "=" in line
    } & env_example.read_by_the_settings()
    assert marked <= example.keys()
    settings = named(objects, "ConfigMap", "instafeed")["data"]
    assert not settings.keys() & example.keys()
    for workload in kustomization.workloads(objects).values():
        for container in kustomization.containers(workload):
            refers = {"secretRef": {"name": "instafeed"}} in container["envFrom"]
            assert refers == (kustomization.labels(workload)[COMPONENT] in PROGRAMS), "nginx knows no password"


def test_deployment_check_passes(production: list[Object]) -> None:
    """With the settings of `web`. Warnings fail the test."""
    (web,) = kustomization.pod(named(production, "Deployment", "web"))["containers"]
    environment = kustomization.environment(production, web, secret("production"))
    assert environment["ALLOWED_HOSTS"] == "example.com,10.244.1.2"
    checked = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=PROJECT_ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert checked.returncode == 0, checked.stderr


CLUSTERS = {
    "REDIS_URL": "rediss+cluster://:PASSWORD@10.20.0.5:6379,10.20.0.6:6379",
    "CELERY_BROKER_URL": "amqps://instafeed:PASSWORD@10.20.0.7:5671/instafeed",
}


@pytest.mark.parametrize(("name", "others"), [("small", {}), ("production", CLUSTERS)])
def test_settings_of_a_worker_are_valid(name: str, others: dict[str, str]) -> None:
    """Also with the URLs that the comments of secret.env.example name."""
    objects = kustomization.build(f"overlays/{name}")
    (worker,) = kustomization.pod(named(objects, "Deployment", "worker-media"))["containers"]
    environment = kustomization.environment(objects, worker, secret(name) | others)
    checked = subprocess.run(
        [sys.executable, "-c", "import instafeed.settings"],
        cwd=PROJECT_ROOT,
        env={"PATH": "/usr/bin:/bin", **environment, "PROMETHEUS_MULTIPROC_DIR": ""},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert checked.returncode == 0, checked.stderr


# --- The migration -----------------------------------------------------------------------------------


@pytest.fixture
def empty_database(worker_id: str) -> Iterator[str]:
    name = f"kubernetes_{worker_id}"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_programs_wait_for_the_migration(production: list[Object], empty_database: str, tmp_path: Path) -> None:
    """With the command lines of the init container and the Job, on a real database."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "instafeed.settings",
        "DATABASE_URL": empty_database,
        "DATABASE_REPLICA_URLS": "",
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    for name, workload in kustomization.workloads(production).items():
        has_init = "initContainers" in kustomization.pod(workload)
        assert has_init == (kustomization.labels(workload)[COMPONENT] in ("web", "stream", "worker", "beat")), name
    (init,) = kustomization.pod(named(production, "Deployment", "web"))["initContainers"]
    (job,) = kustomization.pod(named(production, "Job", "migrate"))["containers"]
    log = tmp_path / "init.log"
    with log.open("wb") as output:
        waiting = subprocess.Popen(init["command"], cwd=PROJECT_ROOT, env=environment, stdout=output, stderr=output)
        try:
            eventually(
                lambda: log.read_text().count("waiting for the Job migrate\n") >= 2 or waiting.poll() is not None
            )
            assert waiting.poll() is None, log.read_text()
            subprocess.run(job["args"], cwd=PROJECT_ROOT, env=environment, check=True, capture_output=True, timeout=120)
            assert waiting.wait(100) == 0, log.read_text()
        finally:
            waiting.kill()
            waiting.wait()


def test_documented_update_has_the_right_order(production: list[Object]) -> None:
    """Settings and the Job, workers and beat, everything. The order of docs/upgrading.md."""
    page = (PROJECT_ROOT / "docs" / "kubernetes.md").read_text()
    section = page[page.index("## A rolling update") : page.index("What happens:")]
    steps = re.findall(rf"apply -k overlays/mine(?: -l '{COMPONENT} in \(([a-z, ]+)\)')?", section)
    first, second, last = (set(filter(None, step.split(", "))) for step in steps)
    kinds = {
        component: {one["kind"] for one in production if one["metadata"]["labels"][COMPONENT] == component}
        for component in {one["metadata"]["labels"][COMPONENT] for one in production}
    }
    assert set().union(*(kinds[component] for component in first)) == {"Namespace", "ConfigMap", "NetworkPolicy", "Job"}
    assert not any({"ConfigMap", "NetworkPolicy", "Job"} & kinds[component] for component in kinds.keys() - first)
    assert second == {"worker", "beat"}
    assert last == set()


# --- The network -------------------------------------------------------------------------------------

WEB, STREAM, WORKER, BEAT, MIGRATE, NGINX = (
    Peer(component=name) for name in ("web", "stream", "worker", "beat", "migrate", "nginx")
)
MAIL_WORKER = Peer(component="worker", queue="mail")
INGRESS, PROMETHEUS, OTHER = (Peer(namespace=name) for name in ("ingress", "monitoring", "other"))
DNS = Peer(namespace="kube-system")
INTERNET, METADATA = Peer(address="52.219.0.1"), Peer(address="169.254.169.254")
RABBITMQ = {"small": 5672, "production": 5671}
DATA = {"small": Peer(namespace="data"), "production": Peer(address="10.20.0.5")}


def test_programs_reach_what_they_need(objects: list[Object], overlay: str) -> None:
    urls = [value for name, value in secret(overlay).items() if name.endswith("_URL") and value]
    ports = {urlsplit(url).port for url in urls} - {None}
    assert ports == {5432, 6379}
    data = DATA[overlay]
    needed: list[tuple[Peer, Peer, int]] = [
        *((program, data, port) for program in (WEB, STREAM, WORKER, MIGRATE, BEAT) for port in ports if port),
        *((program, data, RABBITMQ[overlay]) for program in (WEB, WORKER, BEAT)),
        *((program, INTERNET, 443) for program in (WEB, WORKER, BEAT)),
        *((MAIL_WORKER, INTERNET, port) for port in (465, 587)),
        *((INGRESS, NGINX, 8080), (NGINX, WEB, 8000), (NGINX, STREAM, 8000)),
        *((PROMETHEUS, WEB, 8000), (PROMETHEUS, STREAM, 8000), (PROMETHEUS, WORKER, 9100), (PROMETHEUS, NGINX, 8080)),
    ]
    endpoint = named(objects, "ConfigMap", "instafeed")["data"].get("AWS_S3_ENDPOINT_URL")
    if endpoint:
        needed += [(program, data, urlsplit(endpoint).port or 443) for program in (WEB, WORKER, NGINX)]
    for source, target, port in needed:
        assert kustomization.is_allowed(objects, source, target, port), (source.labels, vars(target), port)
    for source in (WEB, STREAM, WORKER, BEAT, MIGRATE, NGINX):
        assert kustomization.is_allowed(objects, source, DNS, 53, "UDP")


def test_everything_else_is_refused(objects: list[Object], overlay: str) -> None:
    data = DATA[overlay]
    refused = [
        *(
            (source, target, port)
            for source in (INGRESS, OTHER)
            for target, port in ((WEB, 8000), (STREAM, 8000), (WORKER, 9100))
        ),
        *((NGINX, target, port) for target, port in ((WORKER, 9100), (data, 5432), (data, 6379), (INTERNET, 443))),
        *((WEB, WORKER, 9100), (WORKER, WEB, 8000), (WORKER, NGINX, 8080)),
        *((WORKER, INTERNET, 587), (WEB, INTERNET, 80), (WEB, INTERNET, 5432)),
        *((program, METADATA, port) for program in (WEB, MAIL_WORKER) for port in (80, 443)),
    ]
    for source, target, port in refused:
        assert not kustomization.is_allowed(objects, source, target, port), (source.labels, vars(target), port)


def test_production_admits_clients_through_the_ingress_only(production: list[Object]) -> None:
    """Pods of the trusted network could name any address as the client's."""
    assert not kustomization.is_allowed(production, OTHER, NGINX, 8080)


# --- Scaling and monitoring --------------------------------------------------------------------------


def test_production_survives_a_lost_node(production: list[Object]) -> None:
    scaled = {
        one["spec"]["scaleTargetRef"]["name"]: one["spec"]["minReplicas"]
        for one in production
        if one["kind"] == "HorizontalPodAutoscaler"
    }
    for name, workload in kustomization.workloads(production).items():
        if name != "migrate":
            assert scaled.get(name) or workload["spec"]["replicas"] >= 2, name
    budgets = [one for one in production if one["kind"] == "PodDisruptionBudget"]
    budgeted = {one["spec"]["selector"]["matchLabels"][COMPONENT] for one in budgets}
    assert budgeted == {
        "web",
        "stream",
        "nginx",
        "worker",
        "beat",
    }
    assert all(one["spec"]["maxUnavailable"] == 1 for one in budgets)


def test_autoscalers_use_existing_metrics(production: list[Object]) -> None:
    kinds = {str(model._meta.model_name) for model in LeasedJob.__subclasses__()}
    rules = yaml.safe_load((kustomization.ROOT / "prometheus-adapter.yaml").read_text())["rules"]["external"]
    page = (PROJECT_ROOT / "docs" / "operations.md").read_text()
    used = [
        metric["external"]["metric"]
        for one in production
        if one["kind"] == "HorizontalPodAutoscaler"
        for metric in one["spec"]["metrics"]
        if metric["type"] == "External"
    ]
    assert used
    for metric in used:
        assert metric["name"] in {rule["seriesQuery"] for rule in rules}
        assert f"| `{metric['name']}` | gauge | `kind` |" in page
        assert metric["selector"]["matchLabels"]["kind"] in kinds


def test_prometheus_has_the_jobs_of_the_alerts(promtool: str, tmp_path: Path) -> None:
    """Debian's promtool does not know Kubernetes, so it checks the file with other targets."""
    config = yaml.safe_load((kustomization.ROOT / "prometheus.yaml").read_text())
    for job in config["scrape_configs"]:
        (discovery,) = job.pop("kubernetes_sd_configs")
        assert discovery == {"role": "pod", "namespaces": {"names": ["instafeed"]}}
        job["static_configs"] = [{"targets": ["127.0.0.1:9"]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    checked = subprocess.run(
        [promtool, "check", "config", "--syntax-only", str(tmp_path / "prometheus.yml")], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    alerts = (PROJECT_ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    assert set(re.findall(r'job="(\w+)"', alerts)) - {"minio"} == jobs
