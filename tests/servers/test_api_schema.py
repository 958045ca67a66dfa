"""The API keeps to its description: schemathesis goes through all of it, valid and invalid."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.api import ApiProcess, token_of
from tests.support.rows import make_attempt, make_message, make_sms, make_sms_task, make_task
from worker import vault

PROGRAM = Path(sys.executable).with_name("schemathesis")

CHECKS = """
[checks.positive_data_acceptance]
expected-statuses = {accepted}
"""
# A file of the test's own: as a module of the tests it would need the extra wherever they run.
HOOKS = """
import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(context, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
"""
# What the schema allows may still be unfit to be sent, as an address without an @-sign.
FIT_OR_NOT = ["2xx", "401", "403", "404", "409", "415", "422", "429"]
WITHOUT_LIMITS = {
    "KADENCIA_API_REQUESTS_MINUTE": "1000000",
    "KADENCIA_API_MESSAGES_MINUTE": "10000000",
    "KADENCIA_API_FAILURES_MINUTE": "100000",
}


@pytest.fixture
def schemathesis():
    if not PROGRAM.exists():
        words = "schemathesis is missing; install the extra `checks`"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return PROGRAM


@pytest.fixture
def api(engine, database_url, redis_url):
    environ = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "KADENCIA_KEYS": vault.new_key(),
        **WITHOUT_LIMITS,
    }
    process = ApiProcess(environ, "--no-webhooks")
    yield process
    assert process.stop() == 0
    assert "Traceback" not in process.written


@pytest.fixture
def company(engine):
    """A company with messages that were sent, and some that wait."""
    with engine.begin() as connection:
        task = make_task(connection, name="faktury")
        sms_task = make_sms_task(connection, task.company_id)
        for state in ("sent", "ready", "held"):
            message = make_message(connection, task, state=state)
            make_sms(connection, sms_task, state=state)
        make_attempt(
            connection, task, message.id, state="deferred", phase="rcpt", code=451, text="later"
        )
    return task.company_id


@pytest.fixture
def run(schemathesis, api, engine, company, tmp_path):
    """Runs schemathesis; gives back how many requests it tried."""
    token = token_of(engine, company)

    def run(accepted, *options):
        config = tmp_path / "schemathesis.toml"
        config.write_text(CHECKS.format(accepted=accepted))
        (tmp_path / "api_hooks.py").write_text(HOOKS)
        done = subprocess.run(
            [
                *(schemathesis, "--config-file", config, "run", f"{api.url}/v1/openapi.json"),
                *("--header", f"Authorization: Bearer {token}", "--checks", "all", "--no-color"),
                *("--seed", "1", "--continue-on-failure", *options),
            ],
            env={
                **os.environ,
                "PYTHONPATH": str(tmp_path),
                "SCHEMATHESIS_HOOKS": "api_hooks",
                "no_proxy": "127.0.0.1",
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-20_000:]
        tried, passed = re.search(r"(\d+) generated, (\d+) passed", done.stdout).groups()
        assert tried == passed
        return int(tried)

    return run


@pytest.mark.timeout(300)
def test_every_request_is_answered_as_the_description_says(run):
    tried = run(FIT_OR_NOT, "--max-examples", "8")

    sys.stdout.write(f"schemathesis tried {tried} requests\n")
    assert tried > 1000


def test_the_examples_of_the_description_are_taken_as_they_stand(run):
    assert run(["2xx"], "--phases", "examples") > 10
