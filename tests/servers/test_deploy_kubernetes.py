"""The manifests for Kubernetes: fields, hardening, times, and what they name of the product."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import text

from settings import load
from tests.support.parsing import parse
from worker.fleet.worker import GRACE_SECONDS

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy" / "kubernetes" / "base"
OVERLAY = ROOT / "deploy" / "kubernetes" / "overlays" / "example"

LONGEST_SECONDS = load({}).handover_max_seconds + GRACE_SECONDS


def documents(directory):
    """Every object of Kubernetes in a directory's files."""
    files = [file for file in sorted(directory.glob("*.yaml")) if file.stem != "kustomization"]
    return [one for file in files for one in yaml.safe_load_all(file.read_text())]


def pods():
    """Name and pod template of each workload."""
    return [
        (one["metadata"]["name"], one["spec"]["template"]["spec"])
        for one in documents(BASE)
        if one["kind"] in ("Deployment", "Job")
    ]


def test_kubernetes_knows_every_field():
    validate = pytest.importorskip("kubernetes_validate")
    ours = documents(BASE)

    assert {one["kind"] for one in ours} == {
        *("Namespace", "NetworkPolicy", "Job", "Deployment", "Service", "PodDisruptionBudget"),
    }
    for one in ours:
        validate.validate(one, "1.37", strict=True)


def test_every_file_of_kubernetes_is_named_where_kustomize_looks():
    for directory in (BASE, OVERLAY):
        named = yaml.safe_load((directory / "kustomization.yaml").read_text())["resources"]
        files = {file.name for file in directory.glob("*.yaml")} - {"kustomization.yaml"}
        assert files == {one for one in named if one.endswith(".yaml")}
        assert all((directory / one).exists() for one in named)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_the_overlay_is_rendered_with_its_own_image_and_addresses():
    validate = pytest.importorskip("kubernetes_validate")

    done = subprocess.run(
        ["kubectl", "kustomize", str(OVERLAY)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    rendered = list(yaml.safe_load_all(done.stdout))
    for one in rendered:
        if not one["apiVersion"].startswith("keda.sh/"):
            validate.validate(one, "1.37", strict=True)
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in rendered}
    worker = by_name["Deployment", "worker-main"]["spec"]
    assert "replicas" not in worker
    image = worker["template"]["spec"]["containers"][0]["image"]
    assert image.startswith("registry.firma.example/kadencia:")
    api = by_name["Deployment", "api"]["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "KADENCIA_API_PROXIES", "value": "10.244.0.0/16"} in api["env"]
    egress = by_name["NetworkPolicy", "servers"]["spec"]["egress"]
    assert egress[1]["to"] == [{"ipBlock": {"cidr": "10.20.0.0/24"}}]
    assert {one["metadata"].get("namespace") for one in rendered} <= {"kadencia", None}


@pytest.mark.parametrize(("name", "pod"), pods(), ids=[name for name, _ in pods()])
def test_every_pod_is_hardened_and_its_command_is_ours(name, pod):
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} == container["resources"]["limits"].keys()
    parse(container["args"])
    (secret,) = [one["secret"] for one in pod["volumes"] if "secret" in one]
    there = {item["path"] for item in secret["items"]}
    for variable in container["env"]:
        assert Path(variable["value"]).parent == Path("/run/secrets/kadencia")
        assert Path(variable["value"]).name in there
    assert "livenessProbe" in container or name == "migrate"


def test_a_pod_that_sends_has_the_time_of_the_longest_hand_over_to_end():
    found = dict(pods())

    assert found["worker-main"]["terminationGracePeriodSeconds"] > LONGEST_SECONDS


def test_whoever_must_not_all_go_at_once_has_a_budget():
    replicas = {
        one["metadata"]["name"]: one["spec"]["replicas"]
        for one in documents(BASE)
        if one["kind"] == "Deployment"
    }
    budgets = {
        one["metadata"]["name"]: one["spec"]["minAvailable"]
        for one in documents(BASE)
        if one["kind"] == "PodDisruptionBudget"
    }

    assert budgets.keys() == {name for name, number in replicas.items() if number > 1}
    assert all(replicas[name] > number for name, number in budgets.items())


SCALED = {
    "type": "object",
    "required": ["scaleTargetRef", "minReplicaCount", "maxReplicaCount", "triggers"],
    "additionalProperties": False,
    "properties": {
        "scaleTargetRef": {"type": "object", "required": ["name"]},
        "minReplicaCount": {"type": "integer", "minimum": 1},
        "maxReplicaCount": {"type": "integer", "minimum": 1},
        "pollingInterval": {"type": "integer"},
        "cooldownPeriod": {"type": "integer", "minimum": 800},
        "fallback": {"type": "object", "required": ["failureThreshold", "replicas"]},
        "triggers": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "metadata", "authenticationRef"],
                "properties": {
                    "type": {"enum": ["redis", "postgresql"]},
                    # KEDA takes strings alone here, numbers too.
                    "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            },
        },
    },
}
"""What of KEDA's ScaledObject is used: a schema of ours, since KEDA's is not to be had here."""


def test_workers_are_scaled_by_queues_that_exist():
    jsonschema = pytest.importorskip("jsonschema")
    scaled, authentication = documents(OVERLAY)

    jsonschema.validate(scaled["spec"], SCALED)
    target = scaled["spec"]["scaleTargetRef"]["name"]
    (args,) = [pod["containers"][0]["args"] for name, pod in pods() if name == target]
    server = parse(args)["server"]
    lists = {
        trigger["metadata"]["listName"]
        for trigger in scaled["spec"]["triggers"]
        if trigger["type"] == "redis"
    }
    assert lists == {f"oac.{server}", f"oac.{server}.eurosms"}
    names = {trigger["authenticationRef"]["name"] for trigger in scaled["spec"]["triggers"]}
    assert names == {authentication["metadata"]["name"]}


def test_what_scaling_counts_is_a_statement_that_the_database_takes(engine):
    scaled = documents(OVERLAY)[0]
    (query,) = [
        trigger["metadata"]["query"]
        for trigger in scaled["spec"]["triggers"]
        if trigger["type"] == "postgresql"
    ]

    with engine.connect() as connection:
        assert connection.execute(text(query)).scalar_one() == 0
