"""Files that were uploaded by themselves: how long they wait, and who keeps them."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from settings import load
from tests.support.rows import make_company
from worker import retention
from worker.compose import AttachmentPart
from worker.enqueueing import Draft, enqueue
from worker.outbox import uploads

LATER = text("UPDATE upload SET uploaded_at = uploaded_at - interval '25 hours'")


@pytest.fixture
def company(engine):
    with engine.begin() as connection:
        return make_company(connection)


def count(engine, table):
    with engine.connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


def test_a_file_waits_a_day_for_the_emails_that_will_name_it(engine, company):
    with engine.begin() as connection:
        uploads.keep(connection, company, b"cennik")
    retention.retain(engine, load({}))
    assert count(engine, "attachment") == 1

    with engine.begin() as connection:
        connection.execute(LATER)
    retention.retain(engine, load({}))

    assert (count(engine, "upload"), count(engine, "attachment")) == (0, 0)


def test_a_file_that_an_email_names_stays_with_it(engine, company):
    with engine.begin() as connection:
        uploads.keep(connection, company, b"cennik")
        part = AttachmentPart("cennik.pdf", "application/pdf", b"cennik")
        draft = Draft(
            company_id=company, to=["jana@x.example"], subject="s", text="t", attachments=[part]
        )
        enqueue(connection, draft, load({}))
        connection.execute(LATER)

    retention.retain(engine, load({}))

    assert (count(engine, "upload"), count(engine, "attachment")) == (0, 1)


def test_uploaded_again_it_is_kept_once_and_waits_anew(engine, company):
    with engine.begin() as connection:
        digest = uploads.keep(connection, company, b"cennik")
        connection.execute(LATER)
        assert uploads.keep(connection, company, b"cennik") == digest

    retention.retain(engine, load({}))

    with engine.begin() as connection:
        assert uploads.read(connection, company, digest) == b"cennik"
        assert uploads.read(connection, make_company(connection), digest) is None
