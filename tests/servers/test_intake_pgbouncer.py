"""Enqueueing by SQL through PgBouncer in transaction mode."""

from __future__ import annotations

from contextlib import closing

import psycopg2
import pytest
from sqlalchemy import make_url, text

from settings import load
from tests.support.debian_postgres import PgBouncer
from tests.support.rows import make_company
from tests.support.services import service_directory
from worker import db, intake
from worker.registers import sql_roles
from worker.registers.naming import find_company

INI = """
[databases]
{name} = host={host} port={port} dbname={name}

[pgbouncer]
auth_type = scram-sha-256
auth_file = userlist.txt
pool_mode = transaction
default_pool_size = 1
max_client_conn = 20
"""
ENQUEUE = "SELECT kadencia.enqueue_email(ARRAY['a@b.example'], %s, 'Dobrý deň')"


@pytest.fixture
def pooled(engine):
    """How two services, each of a company of its own, reach the database through one pooler."""
    direct = make_url(engine.url)
    roles = {}
    with db.transaction(engine, who="tests") as connection:
        for name in ("pooled_ruza", "pooled_lipa"):
            make_company(connection, name=name)
            company = find_company(connection, name)
            roles[name] = sql_roles.allow(connection, company, name, rotate=False)
    ini = INI.format(name=direct.database, host=direct.host, port=direct.port)
    users = "".join(f'"{name}" "{password}"\n' for name, password in roles.items())
    with service_directory() as directory, PgBouncer(directory / "pgbouncer", ini, users) as pooler:
        place = {"host": "127.0.0.1", "port": pooler.port, "dbname": direct.database}
        yield [{**place, "user": name, "password": secret} for name, secret in roles.items()]
    with engine.begin() as connection:
        for name in roles:
            connection.execute(text(f"REVOKE kadencia_enqueue FROM {name}"))
            connection.execute(text(f"DROP ROLE {name}"))


def test_each_speaks_for_its_own_company_and_only_what_commits_is_there(engine, pooled):
    connections = [closing(psycopg2.connect(**place)) for place in pooled]
    with connections[0] as ruza, connections[1] as lipa:
        for number in range(5):
            for connection in (ruza, lipa):
                with connection.cursor() as cursor:
                    cursor.execute(ENQUEUE, [f"Číslo {number}"])
                if number % 2:
                    connection.rollback()
                else:
                    connection.commit()

    intake.take_in(engine, load({}))

    with engine.connect() as connection:
        found = connection.execute(
            text("""SELECT c.name, array_agg(m.subject ORDER BY m.subject) FROM message m
                JOIN company c ON c.id = m.company_id GROUP BY c.name ORDER BY c.name""")
        ).all()
    committed = ["Číslo 0", "Číslo 2", "Číslo 4"]
    assert found == [("pooled_lipa", committed), ("pooled_ruza", committed)]
