"""Secrets and addresses are planted, much goes well and badly, and then they are looked for.

Whatever the product shows to anybody, or leaves behind outside PostgreSQL, is searched.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import psycopg2
import pytest
import requests
from celery import Celery
from sqlalchemy import make_url

from tests.support.emulator import IID, EmulatorProcess
from tests.support.installation import Installation
from tests.support.process_table import wait_until
from tests.support.seen import Monitor, Place, dump, forms
from tests.support.services import service_directory
from tests.support.sink import SinkProcess
from worker.embedded.directory import DataDirectory

pytestmark = pytest.mark.timeout(300)

PATIENCE_SECONDS = 90

SECRETS = {
    "SMTP password": "hesloSmtp7Qx",
    "wrong SMTP password": "hesloZle8Rz",
    "EuroSMS key": "Eu-k9-T7",
    "OAuth client secret": "oauthTajne5Lp",
    "Flower password": "",  # made by `up`, read from its data directory
    "API token": "",
    "revoked API token": "",
    "webhook secret": "",
    "SQL role's password": "",
    "database password": "",
    "Redis password": "",
}
PERSONAL = {
    "recipient": "jana.planckova",
    "deferred recipient": "deferred.osoba",
    "refused recipient": "refused.osoba",
    "suppressed recipient": "suppressed.osoba",
    "recipient of a bad request": "zly.pozadavek",
    "recipient by SQL": "cez.sql",
    "recipient by Celery": "cez.celery",
    "rejected recipient by Celery": "odmietnuta.celery",
    "subject": "Predmet-Kolibrik",
    "text": "Obsah-Tukan",
    "number": "905123987",
    "text of an SMS": "Esemeska-Bocian",
    "name in a field": "Pole-Sojka",
}
PAGES = (
    *("/", "/workers", "/tasks", "/broker", "/metrics", "/healthcheck"),
    *("/api/workers", "/api/tasks", "/nowhere"),
)
COMMANDS = (
    *(
        "status",
        "doctor",
        "audit changes --subject smtp",
        "server list",
        "task show faktury",
        "smtp show pošta",
    ),
    *("token list", "webhook list", "sql-role list", "intake list", "eurosms show brána"),
)


@pytest.fixture(scope="module")
def sink() -> Iterator[SinkProcess]:
    with service_directory() as directory:
        password = directory / "password"
        password.write_text(SECRETS["SMTP password"])
        log_in = ("--user", "ruza", "--password-file", str(password))
        faults = ("defer:deferred.*", "refuse:refused.*")
        with SinkProcess(*log_in, faults=faults) as running:
            yield running


@pytest.fixture(scope="module")
def receiver() -> Iterator[str]:
    """A receiver of webhooks that fails."""

    class Fails(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_error(500)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Fails)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def place(sink, receiver) -> Iterator[Place]:
    with (
        service_directory() as directory,
        EmulatorProcess("--key", SECRETS["EuroSMS key"], "--report-after", "1") as gateway,
    ):
        installation = Installation(directory)
        made = Place(installation)
        try:
            installation.environment["KADENCIA_WEBHOOK_ALLOW"] = "127.0.0.0/8"
            installation.up("--log-format", "json")
            watch = Monitor(installation.endpoint("redis_url"))
            _set_up(made, sink, receiver, gateway)
            _work(made)
            made.keep("Redis, each command", watch.end())
            _work_by_celery(made)
            _look(made)
            yield made
        finally:
            installation.end()


def _set_up(place: Place, sink: SinkProcess, receiver: str, gateway: EmulatorProcess) -> None:
    run = place.run
    run(
        *("init", "--company", "Ruža", "--domain", "ruza.example", "--smtp-name", "pošta"),
        *("--host", "127.0.0.1", "--port", str(sink.port), "--security", "none"),
        *("--sender-name", "Ruža", "--sender-address", "ruza@ruza.example"),
        *("--task", "faktury", "--cadence", "3000", "--user", "odosielanie"),
        *("--username", "ruza", "--password-file", "-", "--retry-first", "600"),
        stdin=SECRETS["SMTP password"],
    )
    run("task", "resume", "faktury")
    run(
        *("smtp", "add", "zlá", "--host", "127.0.0.1", "--port", str(sink.port)),
        *("--security", "none", "--username", "ruza", "--password-file", "-"),
        stdin=SECRETS["wrong SMTP password"],
    )
    run("smtp", "test", "zlá", fails=True)
    run(
        *("smtp", "add", "token", "--host", "127.0.0.1", "--port", str(sink.port)),
        *("--security", "none", "--oauth-token-url", f"{receiver}token", "--username", "ruza"),
        *("--oauth-grant", "client_credentials", "--oauth-client-id", "kadencia"),
        *("--client-secret-file", "-"),
        stdin=SECRETS["OAuth client secret"],
    )
    run("smtp", "test", "token", fails=True)
    run(
        *("eurosms", "add", "brána", "--integration-id", IID, "--base-url", gateway.url),
        *("--key-file", "-", "--price", "0.05", "--poll-seconds", "5"),
        stdin=SECRETS["EuroSMS key"],
    )
    run(
        *("task", "create-sms", "upomienky", "--eurosms", "brána", "--sender", "Ruza"),
        *("--user", "odosielanie", "--cadence", "600", "--server", "local"),
    )
    run("suppression", "add", f"{PERSONAL['suppressed recipient']}@zakaznik.example", secret=True)
    made = json.loads(run("webhook", "add", f"{receiver}hook", "--json", secret=True))
    SECRETS["webhook secret"] = made["secret"].removeprefix("whsec_")
    _tokens(place)
    SECRETS["SQL role's password"] = _role(place)
    for name, kind in (("database password", "database_url"), ("Redis password", "redis_url")):
        SECRETS[name] = _password(place.up.endpoint(kind))


def _password(url: str) -> str:
    return make_url(url).password or ""


def _tokens(place: Place) -> None:
    for name, called in (("API token", "eshop"), ("revoked API token", "stary")):
        scopes = ("emails:write", "emails:read", "sms:write", "sms:read", "webhooks:write")
        words = [word for scope in scopes for word in ("--scope", scope)]
        printed = place.run("token", "create", called, *words, secret=True)
        SECRETS[name] = next(word for word in printed.split() if word.startswith("kad_"))
    place.run("token", "revoke", "stary")


def _role(place: Place) -> str:
    printed = place.run("sql-role", "create", "obchod", secret=True)
    return max(printed.split(), key=len)


def _email(to: str, **more: object) -> dict[str, object]:
    words = {"subject": PERSONAL["subject"], "text": PERSONAL["text"]}
    return {"to": [f"{to}@zakaznik.example"], **words, **more}


def _work(place: Place) -> None:
    """Messages that go well and badly, by command, HTTP and SQL; requests of every wrong kind."""
    token = SECRETS["API token"]
    for name in ("recipient", "deferred recipient", "refused recipient", "suppressed recipient"):
        place.ask("POST", "/v1/emails", token, json=_email(PERSONAL[name]))
    place.ask(
        "POST", "/v1/sms", token, json={"number": "0905123987", "text": PERSONAL["text of an SMS"]}
    )
    _bad_requests(place, token)
    _by_sql(place)
    run = place.run
    run(
        *("mail", "enqueue", "--to", "žiadny zavináč", "--subject", PERSONAL["subject"]),
        *("--text", PERSONAL["text"]),
        fails=True,
    )
    wait_until(lambda: _settled(place) >= 4, PATIENCE_SECONDS)


def _settled(place: Place) -> int:
    (found,) = place.up.execute(
        "SELECT count(*) FROM message WHERE state IN ('sent', 'failed', 'suppressed', 'delivered')"
    )
    assert isinstance(found, int)
    return found


def _bad_requests(place: Place, token: str) -> None:
    bad = PERSONAL["recipient of a bad request"]
    person = f"{bad} zákazník.example"
    ask = place.ask
    ask("POST", "/v1/emails", token, json=_email(bad) | {"to": [person]})
    ask("POST", "/v1/emails", token, json=_email(bad) | {person: PERSONAL["name in a field"]})
    ask("POST", "/v1/emails", token, json=_email(bad) | {"subject": f"{PERSONAL['subject']}\n"})
    ask(
        "POST",
        "/v1/emails",
        token,
        json=_email(bad) | {"fields": {"a": PERSONAL["name in a field"]}},
    )
    ask("POST", "/v1/emails", token, json=_email(bad) | {"priority": person})
    ask("POST", "/v1/emails", token, data=f'{{"to": "{person}", ')
    ask("POST", "/v1/emails", SECRETS["revoked API token"], json=_email(bad))
    ask("POST", "/v1/emails", f"{token}x", json=_email(bad))
    ask("GET", f"/v1/emails/{bad}", token)
    ask("GET", f"/v1/emails?state={bad}", token)
    ask("GET", f"/v1/{bad}@zakaznik.example", token)
    ask("POST", "/v1/sms", token, json={"number": "+42190512398799999", "text": "x"})
    ask("POST", "/v1/webhooks", token, json={"url": "http://10.0.0.1/", "events": [bad]})
    lines = json.dumps(_email(bad)) + "\n" + json.dumps(_email(bad) | {"to": [person]}) + "\n{"
    content = {"Content-Type": "application/x-ndjson"}
    url = place.up.endpoint("api_url") + "/v1/emails/batch"
    headers = {"Authorization": f"Bearer {token}", **content}
    answer = requests.post(url, data=lines.encode(), headers=headers, timeout=30)
    place.keep("POST /v1/emails/batch", answer.text)


def _by_sql(place: Place) -> None:
    url = make_url(place.up.endpoint("database_url"))
    own = url.set(username="obchod", password=SECRETS["SQL role's password"])
    connection = psycopg2.connect(own.render_as_string(hide_password=False))
    call = "SELECT kadencia.enqueue_email(to_addresses => %s, subject => %s, body_text => %s)"
    words = PERSONAL["subject"], PERSONAL["text"]
    with connection, connection.cursor() as cursor:
        cursor.execute(call, ([f"{PERSONAL['recipient by SQL']}@zakaznik.example"], *words))
    with suppress(psycopg2.Error), connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM message")
    connection.close()


def _work_by_celery(place: Place) -> None:
    """The document itself is in the broker until it is taken in, so this is not monitored."""
    app = Celery(broker=place.up.endpoint("redis_url"), set_as_current=False)
    for name, cc in (("recipient by Celery", []), ("rejected recipient by Celery", ["?"])):
        document = {"schema": 1, "idempotency_key": name, **_email(PERSONAL[name]), "cc": cc}
        app.send_task(
            "kadencia.enqueue_email",
            kwargs={"document": document},
            queue="kadencia.enqueue",
            ignore_result=True,
        )
    app.close()
    taken = """
        SELECT (SELECT count(*) FROM message WHERE idempotency_key = 'recipient by Celery')
             + (SELECT count(*) FROM intake WHERE state = 'rejected')
    """
    wait_until(lambda: place.up.execute(taken) == [2], PATIENCE_SECONDS)
    place.run("intake", "list")


def _look(place: Place) -> None:
    """Everything that can be seen from outside, or is left behind."""
    up, keep = place.up, place.keep
    SECRETS["Flower password"] = DataDirectory(up.data).secret("flower")
    auth, flower = ("kadencia", SECRETS["Flower password"]), up.endpoint("flower_url")
    tasks = requests.get(f"{flower}/api/tasks", auth=auth, timeout=30).json()
    assert len(tasks) >= 5
    for page in (*PAGES, *(f"/task/{one}" for one in tasks)):
        keep(f"Flower {page}", requests.get(flower + page, auth=auth, timeout=30).text)
    keep("Flower, to a stranger", requests.get(flower, timeout=30).text)
    metrics = requests.get(up.endpoint("metrics_url") + "/metrics", timeout=30)
    assert metrics.status_code == 200
    keep("metrics", metrics.text)
    keep("Redis, at rest", dump(up.endpoint("redis_url")))
    for words in COMMANDS:
        place.run(*words.split())
    keep("arguments of processes", "\n".join(up.processes().values()))
    keep("the log", up.lines())


def found_in(place: Place, planted: dict[str, str]) -> list[str]:
    return [
        f"{name} in {where}"
        for name, secret in planted.items()
        for where, words in place.seen.items()
        if any(form in words for form in forms(secret))
    ]


def test_what_was_planted_was_at_work(place):
    states = place.up.execute("SELECT DISTINCT state FROM message ORDER BY state")

    assert {"failed", "ready", "sent", "suppressed"} <= set(states)
    assert all(SECRETS.values())
    assert any(where.startswith("POST /v1/emails: 422") for where in place.seen)
    assert any(where.startswith("POST /v1/emails: 401") for where in place.seen)


def test_no_secret_is_shown_or_left_behind(place):
    assert found_in(place, SECRETS) == []


def test_no_address_number_or_content_is_shown_or_left_behind(place):
    assert found_in(place, PERSONAL) == []
