"""A real Prometheus scrapes a running fleet: rules, dashboard and figures hold together."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from cryptography.fernet import Fernet
from sqlalchemy import text

from tests.support.debian_servers import DebianServer
from tests.support.emulator import IID, KEY, EmulatorProcess
from tests.support.fleet import Fleet
from tests.support.process_table import kill_tree, wait_until
from tests.support.programs import program
from tests.support.rows import (
    make_account,
    make_company,
    make_eurosms_account,
    make_message,
    make_sms,
    make_sms_task,
    make_task,
)
from tests.support.services import service_directory
from tests.support.sink import SinkProcess
from tools.check_dashboard import queries, unparsed
from worker import db
from worker.outbox import sms_polls
from worker.vault import Vault

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "kadencia.json").read_text())
RULES = ROOT / "deploy" / "prometheus" / "kadencia.rules.yml"
STORE_KEY = Fernet.generate_key().decode()

QUIET = {
    "Waits for the database": "the database was never away",
    "Webhooks": "there is no webhook",
    "HTTP requests": "nothing with a port for HTTP runs",
    "Spent": "a share needs a budget, which has its own place",
}
"""Panels that have nothing to show of a fleet that works, and why."""


class Prometheus(DebianServer):
    """Debian's, with a configuration of three jobs."""

    def __init__(self, directory: Path, targets: dict[str, str]) -> None:
        super().__init__(directory)
        jobs = [
            {"job_name": job, "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
            for job, target in targets.items()
        ]
        settings = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": jobs,
        }
        self.configuration = directory / "prometheus.json"
        self.configuration.write_text(json.dumps(settings))  # JSON is YAML

    def command(self) -> Sequence[str]:
        """What starts it."""
        return [
            program("prometheus", "prometheus"),
            f"--config.file={self.configuration}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def answers(self) -> bool:
        """Whether it has read what it had kept, and serves."""
        with suppress(requests.RequestException):
            return requests.get(f"http://127.0.0.1:{self.port}/-/ready", timeout=1).ok
        return False

    def ask(self, query: str) -> list[dict[str, object]]:
        """What an instant query answers."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query"
        answer = requests.post(url, data={"query": query}, timeout=10).json()
        assert answer["status"] == "success", (query, answer)
        found: list[dict[str, object]] = answer["data"]["result"]
        return found


def listening(fleet: Fleet, number: int) -> str:
    """Host and port of the process that was the so-manieth to serve metrics."""
    pattern = re.compile(r"http://(127\.0\.0\.1:\d+)/metrics")

    def found() -> list[str]:
        return pattern.findall(fleet.log.read_text()) if fleet.log.exists() else []

    wait_until(lambda: len(found()) > number, 30)
    return found()[number]


def enqueue_some(connection, sink, emulator):
    company = make_company(connection)
    mail = make_task(connection, company, make_account(connection, company, port=sink.port))
    account = make_eurosms_account(
        connection,
        company,
        base_url=emulator.url,
        integration_id=IID,
        key=Vault([STORE_KEY]).seal(KEY),
        poll_seconds=1,
        balance=20,
        price="0.05",
    )
    sms_polls.ensure(connection, emulator.url, IID)
    sms = make_sms_task(connection, company, account, budget_day=50)
    for number in range(10):
        make_message(connection, mail, recipients=[f"eva{number}@firma{number}.example"])
        make_sms(connection, sms, number=f"+42190100001{number}")
    make_message(connection, mail, state="held")


@pytest.fixture(scope="module")
def fleet(services):
    services.flush_valkey()
    url = services.fresh_database()
    engine = db.make_engine(url, name="tests")
    environment = {"KADENCIA_KEYS": STORE_KEY}
    with (
        SinkProcess() as sink,
        EmulatorProcess("--report-after", "0.2") as emulator,
        Fleet(engine, services.valkey_url(), **environment) as fleet,
    ):
        fleet.start("metrics", "--port", "0")
        fleet.targets = {"kadencia": listening(fleet, 0)}
        fleet.start("beat", "--metrics-port", "0")
        fleet.targets["kadencia-beat"] = listening(fleet, 1)
        worker = fleet.worker(queues="email,eurosms", processes=1, KADENCIA_METRICS_PORT="0")
        fleet.targets["kadencia-worker"] = listening(fleet, 2)
        fleet.enqueue = lambda: enqueue(engine, sink, emulator)
        yield fleet
        kill_tree(worker)  # an ordered end takes seconds, and is other tests' business
    engine.dispose()
    services.drop_database(url)


def enqueue(engine, sink, emulator):
    with engine.begin() as connection:
        enqueue_some(connection, sink, emulator)


@pytest.fixture(scope="module")
def prometheus(fleet):
    with service_directory() as directory, Prometheus(directory / "p", fleet.targets) as running:
        # What rises must be seen before it does.
        wait_until(lambda: len(running.ask("up == 1")) == 3, 30)
        fleet.enqueue()
        wait_until(lambda: fleet.states().get("delivered", 0) == 10, 60)
        wait_until(lambda: fleet.states().get("sent", 0) == 10, 60)
        counted = 'sum(kadencia_attempts_total{outcome="accepted"}) == 20'
        wait_until(lambda: running.ask(counted), 30)
        wait_until(lambda: running.ask("sum(kadencia_hand_overs_total) == 20"), 30)
        yield running


def test_promtool_takes_the_rules_and_their_tests_pass():
    promtool = program("promtool", "prometheus")
    for arguments in (["check", "rules", RULES.name], ["test", "rules", "kadencia.rules.test.yml"]):
        subprocess.run([promtool, *arguments], cwd=RULES.parent, check=True, capture_output=True)
    check = [promtool, "check", "config", "prometheus.yml"]
    subprocess.run(check, cwd=RULES.parent, check=True, capture_output=True)


def test_prometheus_takes_the_grammar_of_every_query_of_the_dashboard():
    assert unparsed(DASHBOARD, program("promtool", "prometheus")) is None


def test_every_panel_shows_something_of_a_fleet_that_works(prometheus):
    without: set[str] = set()

    def all_shown() -> bool:
        without.clear()
        asked: dict[str, list[bool]] = {}
        for title, query in queries(DASHBOARD):
            asked.setdefault(title, []).append(bool(prometheus.ask(query)))
        without.update(title for title, found in asked.items() if not all(found))
        return without <= set(QUIET)

    try:
        wait_until(all_shown, 20)
    except AssertionError:
        pytest.fail(f"nothing to show: {sorted(without - set(QUIET))}")


def test_the_rules_are_evaluated_and_a_fleet_that_works_raises_nothing(prometheus):
    answer = requests.get(f"http://127.0.0.1:{prometheus.port}/api/v1/rules", timeout=10).json()

    [group] = answer["data"]["groups"]
    assert {rule["health"] for rule in group["rules"]} == {"ok"}
    assert prometheus.ask('ALERTS{alertstate="firing"}') == []


def test_no_address_is_in_anything_that_prometheus_has_seen(fleet, prometheus):
    for target in fleet.targets.values():
        told = requests.get(f"http://{target}/metrics", timeout=10).text
        assert "kadencia_" in told
        assert not re.search(r"@|firma\d|\+?421\d{9}", told)


def test_the_log_names_messages_and_no_address(fleet, prometheus):
    log = fleet.log.read_text()

    assert re.search(r"handed over message=\d+ .*server=main worker=[0-9a-f]{8} pid=\d+", log)
    assert not re.search(r"eva\d@|42190100001", log)


def test_what_is_away_is_told_by_an_alert(fleet, prometheus):
    with fleet.engine.begin() as connection:
        connection.execute(text("UPDATE installation SET stopped_at = clock_timestamp()"))

    wait_until(lambda: prometheus.ask("kadencia_stopped == 1"), 30)
    wait_until(lambda: prometheus.ask('ALERTS{alertname="KadenciaStopped"}'), 10)
