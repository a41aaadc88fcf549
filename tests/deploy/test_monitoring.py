"""deploy/prometheus/ and deploy/grafana/: checked by promtool and against the existing metrics."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import yaml
from django.urls import resolve

from instafeed.core.jobs.queues import QUEUES
from instafeed.devstack.state import PROJECT_ROOT
from tests.deploy import compose_file

PROMETHEUS = PROJECT_ROOT / "deploy" / "prometheus"
GRAFANA = PROJECT_ROOT / "deploy" / "grafana"
ALERTS = [
    rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "instafeed.json").read_text())
_METRIC = re.compile(r"(instafeed_\w+)(?:\{([^}]*)\})?")


@pytest.mark.parametrize(
    "arguments",
    [
        "check config --syntax-only prometheus.yml",
        "check config --syntax-only by-hand.yml",
        "check rules alerts.yml",
        "test rules alerts.test.yml",
    ],
)
def test_promtool_finds_no_errors(promtool: str, arguments: str) -> None:
    checked = subprocess.run(
        [promtool, *arguments.split()], cwd=PROMETHEUS, capture_output=True, text=True, timeout=200
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def known_series() -> dict[str, set[str]]:
    """Return the labels of each series by the table in docs/operations.md. A test of the metrics compares that one."""
    page = (PROJECT_ROOT / "docs" / "operations.md").read_text()
    series: dict[str, set[str]] = {}
    for name, kind, cell in re.findall(r"^\| `(instafeed_\w+)` \| (\w+) \| ([^|]*) \|", page, re.MULTILINE):
        labels = set(re.findall(r"`(\w+)`", cell))
        suffixes = ("_bucket", "_count", "_sum") if kind == "histogram" else ("",)
        series |= {name + suffix: labels | ({"le"} if suffix == "_bucket" else set()) for suffix in suffixes}
    return series


def expressions() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    variables = [variable["query"]["query"] for variable in DASHBOARD["templating"]["list"]]
    return [*panels, *variables, *(rule["expr"] for rule in ALERTS)]


def test_dashboard_and_alerts_use_existing_series() -> None:
    series = known_series()
    used = [(found, expression) for expression in expressions() for found in _METRIC.findall(expression)]
    assert len(used) > 60
    for (name, selector), expression in used:
        assert name in series, expression
        assert set(re.findall(r"(\w+)(?:=~|!=|=)", selector)) <= series[name], expression
    for expression in expressions():
        names = {name for name, _ in _METRIC.findall(expression)}
        wanted = {label for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(", ")}
        assert not names or wanted <= set().union(*(series[name] for name in names)), expression


def test_every_metric_is_on_the_dashboard() -> None:
    shown = " ".join(expressions())
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in known_series()}
    assert [name for name in families if name not in shown] == []


def test_panels_have_titles_units_and_one_source() -> None:
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    source = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in panels} == {source[0]["uid"]}
    assert all(panel["title"] and panel["fieldConfig"]["defaults"]["unit"] for panel in panels)


def test_alerts_have_severity_summary_and_runbook() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"


def test_runbook_has_exactly_the_sections_of_the_alerts() -> None:
    page = (PROJECT_ROOT / "docs" / "runbook.md").read_text()
    sections = re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in sections] == [rule["alert"] for rule in ALERTS]
    for name, text in sections:
        assert "*Means*" in text, name
        assert "*Do*" in text or "*Look*" in text, name


def test_every_alert_has_firing_and_quiet_unit_tests() -> None:
    tests = yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text())["tests"]
    fired = [case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]]
    quiet = [case["alertname"] for test in tests for case in test["alert_rule_test"] if not case["exp_alerts"]]
    assert set(fired) == set(quiet) == {rule["alert"] for rule in ALERTS}


def test_silenced_alerts_have_unit_tests_of_their_own() -> None:
    """Besides the healthy hour, which is the last test."""
    *tests, healthy = yaml.safe_load((PROMETHEUS / "alerts.test.yml").read_text())["tests"]
    assert len(healthy["alert_rule_test"]) == len(ALERTS)
    silent = {case["alertname"] for test in tests for case in test["alert_rule_test"] if not case["exp_alerts"]}
    assert silent == {rule["alert"] for rule in ALERTS if " unless " in rule["expr"]}


def test_documented_alert_metrics_have_alerts() -> None:
    page = (PROJECT_ROOT / "docs" / "operations.md").read_text()
    section = page[page.index("Worth an alert") :].partition("\n\n")[0]
    mentioned = set(re.findall(r"instafeed_\w+", section)) | {"instafeed_request_seconds"}
    assert len(mentioned) >= 6
    rules = " ".join(rule["expr"] for rule in ALERTS)
    assert [name for name in mentioned if name not in rules] == []


def test_routes_that_alerts_name_exist() -> None:
    for path in {path for rule in ALERTS for path in re.findall(r'route="([^"]+)"', rule["expr"])}:
        assert f"/{resolve(path, urlconf='instafeed.urls').route}" == path


def test_every_server_and_worker_is_scraped() -> None:
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    api, worker = ({job["job_name"]: job for job in jobs}[name] for name in ("api", "worker"))
    found = worker["dns_sd_configs"][0]
    services = compose_file.services()
    apis = [f"{name}:{services[name]['environment']['PORT']}" for name in services if name.startswith("api-")]
    workers = [
        f"{name}:{services[name]['environment']['METRICS_PORT']}" for name in services if name.startswith("worker-")
    ]
    assert api["static_configs"][0]["targets"] == apis
    assert [f"{name}:{found['port']}" for name in found["names"]] == workers
    assert len(workers) == len(QUEUES)
    hosts = services["api-1"]["environment"]["ALLOWED_HOSTS"].split(",")
    assert {target.partition(":")[0] for target in apis} <= set(hosts)


def test_nginx_and_the_object_storage_are_scraped() -> None:
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs if "static_configs" in job}
    services = compose_file.services()
    assert targets["nginx"] == [f"nginx:{services['nginx']['environment']['NGINX_LISTEN']}"]
    assert targets["minio"] == [services["nginx"]["environment"]["NGINX_OBJECT_STORE"]]
    assert services["minio"]["environment"]["MINIO_PROMETHEUS_AUTH_TYPE"] == "public"
    for name in ("nginx", "minio"):
        assert set(services[name]["networks"]) & set(services["prometheus"]["networks"]), name


def test_grafana_does_not_start_without_a_password() -> None:
    refused = subprocess.run(["sh", str(GRAFANA / "start.sh")], env={}, capture_output=True, text=True, timeout=200)
    assert (refused.returncode, refused.stderr) == (1, "grafana: GRAFANA_PASSWORD must be set\n")
