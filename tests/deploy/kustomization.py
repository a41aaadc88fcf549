"""deploy/kubernetes as `kubectl apply -k` reads it, and what its network policies allow."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
import yaml

from instafeed.devstack.state import PROJECT_ROOT

ROOT = PROJECT_ROOT / "deploy" / "kubernetes"
OVERLAYS = ("small", "production")
NAMESPACE = "instafeed"
COMPONENT = "app.kubernetes.io/component"

Object = dict[str, Any]


def build(folder: str) -> list[Object]:
    """Return the objects of a kustomization. Skip the test without kubectl and kustomize."""
    if shutil.which("kubectl"):
        command = ["kubectl", "kustomize"]
    elif shutil.which("kustomize"):
        command = ["kustomize", "build"]
    elif os.environ.get("DEPLOY_TESTS") == "required":
        pytest.fail("DEPLOY_TESTS=required, and there is neither kubectl nor kustomize")
    else:
        pytest.skip("there is neither kubectl nor kustomize")
    built = subprocess.run([*command, str(ROOT / folder)], capture_output=True, text=True, timeout=200)
    assert built.returncode == 0, built.stderr
    assert built.stderr == "", "no warning about a deprecated field"
    return list(yaml.safe_load_all(built.stdout))


def named(objects: Iterable[Object], kind: str, name: str) -> Object:
    """Return the object with that name, without the hash at the end of a ConfigMap's name."""
    found = [one for one in objects if one["kind"] == kind and _base_name(one) == name]
    assert len(found) == 1, (kind, name)
    return found[0]


def _base_name(one: Object) -> str:
    name = str(one["metadata"]["name"])
    return name.rpartition("-")[0] if one["kind"] == "ConfigMap" else name


def workloads(objects: Iterable[Object]) -> dict[str, Object]:
    """Return {name: Deployment or Job}."""
    return {one["metadata"]["name"]: one for one in objects if one["kind"] in ("Deployment", "Job")}


def pod(workload: Object) -> Object:
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def containers(workload: Object) -> list[Object]:
    return [*pod(workload).get("initContainers", ()), *pod(workload)["containers"]]


def labels(workload: Object) -> dict[str, str]:
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def environment(objects: list[Object], container: Object, secret: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a container, with these values of the Secret."""
    values: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        if "secretRef" in source:
            assert source["secretRef"]["name"] == "instafeed"
            values |= secret
        else:
            values |= _settings(objects, source["configMapRef"]["name"])
    own: dict[str, str] = {}
    for entry in container.get("env", ()):
        name, origin = entry["name"], entry.get("valueFrom", {})
        if "fieldRef" in origin:
            own[name] = "10.244.1.2"
        elif "configMapKeyRef" in origin:
            own[name] = _settings(objects, origin["configMapKeyRef"]["name"])[origin["configMapKeyRef"]["key"]]
        else:
            own[name] = entry["value"]
            for earlier, value in own.items():  # as Kubernetes: variables of envFrom are not replaced
                own[name] = own[name].replace(f"$({earlier})", value)
    return values | own


def _settings(objects: Iterable[Object], name: str) -> dict[str, str]:
    (data,) = (one["data"] for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] == name)
    return dict(data)


def secret_example() -> dict[str, str]:
    lines = (ROOT / "secret.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


# --- Network policies --------------------------------------------------------------------------------


class Peer:
    """A pod, by its labels and its namespace, or an address outside of the cluster."""

    def __init__(self, *, address: str = "", namespace: str = NAMESPACE, **pod_labels: str) -> None:
        self.address, self.namespace = address, namespace
        self.labels = {COMPONENT if name == "component" else name: value for name, value in pod_labels.items()}


def is_allowed(objects: Iterable[Object], source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Return whether the policies let the source connect to the target: its egress, and the target's ingress."""
    policies = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
    return _passes(policies, "Egress", source, target, port, protocol) and _passes(
        policies, "Ingress", target, source, port, protocol
    )


def _passes(policies: list[Object], direction: str, one: Peer, other: Peer, port: int, protocol: str) -> bool:
    if one.address or one.namespace != NAMESPACE:
        return True  # the policies of others are not ours
    selecting = [policy for policy in policies if _selects(policy["podSelector"], one.labels)]
    applying = [policy for policy in selecting if direction in policy["policyTypes"]]
    return not applying or any(_matches(rule, direction, other, port, protocol) for rule in _rules(applying, direction))


def _rules(policies: Iterable[Object], direction: str) -> Iterator[Object]:
    for policy in policies:
        yield from policy.get(direction.lower(), ())


def _matches(rule: Object, direction: str, other: Peer, port: int, protocol: str) -> bool:
    ports, peers = rule.get("ports"), rule.get("to" if direction == "Egress" else "from")
    if ports is not None and not any(entry["port"] == port and entry["protocol"] == protocol for entry in ports):
        return False
    return peers is None or any(_is_peer(entry, other) for entry in peers)


def _is_peer(entry: Object, other: Peer) -> bool:
    if block := entry.get("ipBlock"):
        if not other.address:
            return False
        address = ip_address(other.address)
        excluded = any(address in ip_network(network) for network in block.get("except", ()))
        return address in ip_network(block["cidr"]) and not excluded
    if other.address:
        return False
    if "namespaceSelector" in entry:
        namespace = {"kubernetes.io/metadata.name": other.namespace}
        return _selects(entry["namespaceSelector"], namespace) and _selects(entry.get("podSelector", {}), other.labels)
    return other.namespace == NAMESPACE and _selects(entry["podSelector"], other.labels)


def _selects(selector: Object, found: Mapping[str, str]) -> bool:
    exact = all(found.get(name) == value for name, value in selector.get("matchLabels", {}).items())
    expressions = selector.get("matchExpressions", ())
    assert all(expression["operator"] == "In" for expression in expressions)
    return exact and all(found.get(one["key"]) in one["values"] for one in expressions)
