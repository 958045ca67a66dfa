"""Tokens of the API by the command line: shown once, kept as a digest, audited."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text

from tests.support.command_line import CommandLine
from tests.support.rows import make_company
from worker.registers import tokens


@pytest.fixture
def company(engine):
    with engine.begin() as connection:
        return make_company(connection, name="Kvetinárstvo Ruža")


@pytest.fixture
def k(database_url, company, tmp_path):
    return CommandLine(tmp_path, DATABASE_URL=database_url)


CREATE = ("token", "create", "eshop", "--scope", "emails:write", "--scope", "sms:read")


def test_a_token_is_printed_once_and_only_its_digest_is_kept(k, engine, company):
    made = k.done(*CREATE, "--expires", "2031-01-01T08:00")

    written = made.out.strip()
    assert re.fullmatch(r"kad_1_[A-Za-z0-9_-]{43}", written)
    assert written not in made.err
    with engine.begin() as connection:
        known = tokens.recognise(connection, written)
        stored = str(
            connection.execute(text("SELECT t.*, a.* FROM api_token t, audit_log a")).all()
        )
    assert (known.company_id, known.scopes) == (company, {"emails:write", "sms:read"})
    assert written.split("_", 2)[2] not in stored
    (listed,) = k.done("token", "list", "--json").json
    assert listed["scopes"] == ["emails:write", "sms:read"]
    assert listed["expires_at"] == "2031-01-01T07:00:00+00:00"
    assert "digest" not in listed


def test_a_revoked_token_is_valid_no_more_and_its_name_is_free_again(k, engine):
    written = k.done(*CREATE).out.strip()

    ended = k.done("token", "revoke", "eshop")

    assert "revoked" in ended.out
    with engine.begin() as connection:
        assert tokens.recognise(connection, written) is None
        actions = connection.execute(
            text("SELECT action FROM audit_log WHERE subject = 'token:1' ORDER BY id")
        )
        assert list(actions.scalars()) == ["create", "revoke"]
    k.done(*CREATE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("create", "x", "--scope", "mail"), "scopes are emails:write", id="no scope"),
        pytest.param(
            ("create", "x", "--scope", "sms:read", "--expires", "2001-01-01"),
            "expired already",
            id="in the past",
        ),
        pytest.param(("create", " ", "--scope", "sms:read"), "token", id="a name that is blank"),
        pytest.param(("revoke", "nikto"), "it has none", id="none of that name"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_made(k, arguments, words):
    ended = k("token", *arguments)

    assert (ended.code, words in ended.err) == (2, True), ended.err
    assert k.done("token", "list", "--json").json == []


def test_a_name_that_is_taken_is_refused(k):
    k.done(*CREATE)

    ended = k(*CREATE)

    assert (ended.code, "exists already" in ended.err) == (2, True)


def test_a_token_that_is_written_wrongly_is_looked_up_by_nobody(engine):
    with engine.begin() as connection:
        for written in ("", "kad_1", f"kad_9{'9' * 18}_{'x' * 43}", f"kad_1_{'x' * 43}"):
            assert tokens.recognise(connection, written) is None
