"""The dashboard, the alert rules and the page on monitoring say what the product tells."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
import yaml

from tools.check_dashboard import OTHERS, metrics, metrics_of, wrongs
from worker.core.alarms import Kind
from worker.figures import catalogue
from worker.figures.catalogue import Figure
from worker.measures import MEASURES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "monitoring.md").read_text()
DASHBOARD = json.loads((DEPLOY / "grafana" / "kadencia.json").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus" / "kadencia.rules.yml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
FIGURES = [one for one in vars(catalogue).values() if isinstance(one, Figure)]


def test_nothing_is_wrong_with_the_dashboard():
    assert list(wrongs(DASHBOARD)) == []


def _rename(panel):
    panel["targets"][0]["expr"] = "kadencia_renamed_total"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(_rename, "nobody tells kadencia_renamed_total", id="an unknown metric"),
        pytest.param(lambda p: p.update(id=1), "two panels have the id 1", id="an id twice"),
        pytest.param(lambda p: p.update(targets=[]), "is empty", id="a panel without a query"),
        pytest.param(lambda p: p.update(description=""), "what it shows", id="no description"),
        pytest.param(lambda p: p["gridPos"].update(x=0), "overlap", id="one on the other"),
        pytest.param(lambda p: p["gridPos"].update(w=30), "wider", id="off the page"),
        pytest.param(lambda p: p["datasource"].update(uid="p"), "variable", id="a fixed source"),
        pytest.param(lambda p: p.pop("title"), "title is missing", id="no title"),
        pytest.param(
            lambda p: p["targets"][0].update(expr="kadencia_up{a=~'$other'}"),
            "not known",
            id="a variable that Grafana does not know",
        ),
    ],
)
def test_what_is_wrong_with_a_dashboard_is_found(spoil, words):
    spoilt = copy.deepcopy(DASHBOARD)
    panel = [one for one in spoilt["panels"] if one["type"] != "row"][5]
    spoil(panel)

    assert any(words in wrong for wrong in wrongs(spoilt))


def test_every_alert_has_a_section_that_says_what_to_do_and_the_page_no_other():
    told = re.findall(r"^### (Kadencia\w+)$", PAGE, re.MULTILINE)

    assert sorted(told) == sorted(alert["alert"] for alert in ALERTS)


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_an_alert_is_complete_and_names_only_metrics_that_are_told(alert):
    annotations = alert["annotations"]

    assert annotations["runbook"] == f"docs/monitoring.md#{alert['alert'].lower()}"
    assert annotations["summary"].endswith(".")
    assert annotations["description"].endswith(".")
    assert alert["labels"]["severity"] in ("critical", "warning")
    named = metrics_of(alert["expr"])
    assert named
    assert named <= metrics() | OTHERS


OF_ALARMS = {
    Kind.UNKNOWN: "KadenciaUnknown",
    Kind.BREAKER: "KadenciaBreakerOpen",
    Kind.SERVER_SILENT: "KadenciaServerSilent",
    Kind.STOPPED: "KadenciaStopped",
    Kind.BUDGET: "KadenciaBudgetNearlyExhausted",
    Kind.LOW_BALANCE: "KadenciaBalanceLow",
    Kind.INTAKE: "KadenciaIntakeRejected",
    Kind.WEBHOOK: "KadenciaWebhookDisabled",
}
"""Kinds of alarms for which there is an alert of their own."""


def test_every_kind_of_alarm_reaches_who_watches_alerts_alone():
    [general] = [alert["expr"] for alert in ALERTS if alert["alert"] == "KadenciaAlarmOpen"]
    kinds = set(re.search(r'kind=~"([^"]*)"', general)[1].split("|"))

    assert kinds == set(Kind) - set(OF_ALARMS)
    assert set(OF_ALARMS.values()) <= {alert["alert"] for alert in ALERTS}


def test_every_alert_is_tried_by_the_tests_of_the_rules():
    tried = (DEPLOY / "prometheus" / "kadencia.rules.test.yml").read_text()

    assert [alert["alert"] for alert in ALERTS if f'"{alert["alert"]}"' not in tried] == []


def test_the_page_on_monitoring_lists_every_figure_and_measure():
    told = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in PAGE.splitlines()
        if line.startswith("| `kadencia_")
    ]

    labels = {one: ", ".join(f"`{name}`" for name in one.labels) or "none" for one in FIGURES}
    figures = [(f"`{one.name}`", labels[one], one.help) for one in FIGURES]
    measures = [
        (
            f"`{one.name}`",
            one.kind,
            ", ".join(f"`{name}`" for name in one.labels) or "none",
            one.help,
        )
        for one in MEASURES
    ]
    assert told == figures + measures
