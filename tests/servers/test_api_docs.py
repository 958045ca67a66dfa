"""The examples of docs/api.md, run as they stand, by a shell and curl against a running API."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.api import ApiProcess, token_of
from tests.support.programs import program
from tests.support.rows import make_sms_task, make_task

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
EXAMPLES = re.findall(r"<!-- run -->\n```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def environ(engine, database_url, redis_url):
    with engine.begin() as connection:
        task = make_task(connection)
        make_sms_task(connection, task.company_id)
    token = token_of(engine, task.company_id)
    process = ApiProcess({"DATABASE_URL": database_url, "REDIS_URL": redis_url}, "--no-webhooks")
    yield {"API_URL": process.url, "API_TOKEN": token}
    assert process.stop() == 0
    log = process.written
    assert token.split("_")[2] not in log
    assert "zakaznik.example" not in log


def test_the_examples_run_as_they_stand(environ):
    curl = program("curl", "curl")
    answers = []

    for example in EXAMPLES:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", example],
            env={**environ, "PATH": f"{Path(curl).parent}:/usr/bin:/bin", "no_proxy": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{example}\n{done.stdout}\n{done.stderr}"
        answers.append(done.stdout)

    email, sms, batch, with_file, looking = answers
    assert json.loads(email) == {"id": 1, "state": "ready", "created": True}
    assert json.loads(sms)["created"]
    assert ["id" in json.loads(line) for line in batch.splitlines()] == [True, False, True]
    assert json.loads(with_file)["created"]
    assert '"state":"cancelled","state_sk":"Zrušená"' in looking
