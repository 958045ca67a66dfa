"""After a restore what services had handed in is not sent before a person has looked."""

from __future__ import annotations

import psycopg2
import pytest
from sqlalchemy import make_url, text

from settings import load
from tests.support.rows import make_company
from tests.support.services import service_directory
from worker import backup, db, intake
from worker.backup.programs import Place
from worker.embedded.directory import DataDirectory
from worker.registers import sql_roles
from worker.registers.naming import find_company

ENQUEUE = "SELECT kadencia.enqueue_email(ARRAY['a@b.example'], 'Faktúra', 'Dobrý deň')"

pytestmark = pytest.mark.slow


def test_what_waited_at_the_backup_is_rejected_and_the_role_is_confined_as_before(
    engine, database_url
):
    with db.transaction(engine, who="tests") as connection:
        make_company(connection, name="Kvetinárstvo Ruža")
        company = find_company(connection, None)
        password = sql_roles.allow(connection, company, "eshop_restored", rotate=False)
    url = make_url(database_url).set(username="eshop_restored", password=password)
    service = psycopg2.connect(url.render_as_string(hide_password=False))
    with service, service.cursor() as cursor:
        cursor.execute(ENQUEUE)
    with service_directory() as directory:
        place = Place(database_url, load({}), DataDirectory(directory / "data"))
        place.data.ensure_keys()
        backup.backup(place, directory / "file.tar")
        intake.take_in(engine, load({}))
        engine.dispose()
        service.close()
        backup.restore(place, directory / "file.tar", keep=directory / "before.tar")

    assert intake.take_in(engine, load({})) is False

    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM message")).scalar_one() == 0
        [row] = intake.listing(connection, intake.Look())
    assert row["state"] == "rejected"
    assert "it may have gone since" in row["why"]
    service = psycopg2.connect(url.render_as_string(hide_password=False))
    with service, service.cursor() as cursor:
        cursor.execute(ENQUEUE)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("SELECT kadencia.hand_in(1, 'email', 'bulk', '{}')")
    service.close()
