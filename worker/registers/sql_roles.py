"""Roles of PostgreSQL that may enqueue for a company with the functions of schema `kadencia`.

Roles belong to the whole cluster, so no migration makes them: whoever migrates need not be allowed
to. Which companies a role may enqueue for stands in a table of this database.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

import psycopg2.extensions
from sqlalchemy import Connection, Row, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import ProgrammingError

from models.intake import SqlRole
from models.intake_functions import GROUP, confine
from models.organisation import Company
from worker.core.content import shown
from worker.registers import RegisterError, audit
from worker.registers.naming import find_company

NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
"""So that the name needs no quotes, and none can end them."""

ROLE = text("SELECT rolsuper FROM pg_roles WHERE rolname = :name")


def allow(connection: Connection, company: Row[Any], name: str, *, rotate: bool) -> str | None:
    """Let a role enqueue for a company; it is made, with a password, where it is not there.

    Args:
        connection: the caller's transaction, of a role that may make roles if one is to be made.
        company: the row of the company.
        name: of the role.
        rotate: give a role that we know a new password.

    Returns:
        The new password, to be shown once; None if the role keeps its own.

    Raises:
        RegisterError: the name cannot be one, the role is a superuser, or we may not do it.
    """
    if not NAME.fullmatch(name):
        raise RegisterError(
            f"{shown(name)} cannot be a role's name here",
            "use small letters, digits and underscores, a letter first, 63 at the most",
        )
    known = _is_known(connection, name)
    there = connection.execute(ROLE, {"name": name}).one_or_none()
    if there is not None and there.rolsuper:
        raise RegisterError(
            f"role {name} is a superuser, whom nothing confines", "name another one"
        )
    if rotate and not known:
        raise RegisterError(
            f"role {name} was not let in before, so its password is not ours to change",
            "leave out --rotate",
        )
    password = secrets.token_urlsafe(24) if rotate or there is None else None
    _grant(connection, name, password, made=there is None)
    values = {"role": name, "company_id": company.id}
    connection.execute(insert(SqlRole).values(values).on_conflict_do_nothing())
    action = "rotate" if rotate else "allow"
    audit.record(connection, action, f"sql-role:{name}", after={"company": company.name})
    return password


def disallow(connection: Connection, name: str, company: str | None) -> int:
    """No longer let a role enqueue for a company, or for any; the role itself stays.

    Returns:
        For how many companies it may still.

    Raises:
        RegisterError: it was let in for none of them.
    """
    unwanted = delete(SqlRole).where(SqlRole.role == name)
    if company is not None:
        unwanted = unwanted.where(SqlRole.company_id == find_company(connection, company).id)
    gone = connection.execute(unwanted.returning(SqlRole.company_id)).scalars().all()
    if not gone:
        raise RegisterError(
            f"role {shown(name)} is let in for none", "see `kadencia sql-role list` for who is"
        )
    audit.record(connection, "disallow", f"sql-role:{name}", before={"companies": list(gone)})
    left = connection.execute(select(SqlRole).where(SqlRole.role == name)).all()
    if not left:
        _try(connection, f"REVOKE {GROUP} FROM {name}", [])
    return len(left)


def sql_roles(connection: Connection) -> list[dict[str, Any]]:
    """Every role with a company that it may enqueue for, in order."""
    query = (
        select(SqlRole.role, Company.name.label("company"), SqlRole.created_at)
        .join(Company, Company.id == SqlRole.company_id)
        .order_by(SqlRole.role, Company.name)
    )
    return [dict(row._mapping) for row in connection.execute(query)]


def _is_known(connection: Connection, name: str) -> bool:
    query = select(SqlRole.role).where(SqlRole.role == name)
    return connection.execute(query).first() is not None


def _grant(connection: Connection, name: str, password: str | None, *, made: bool) -> None:
    steps = (
        []
        if connection.execute(ROLE, {"name": GROUP}).first()
        else [f"CREATE ROLE {GROUP} NOLOGIN"]
    )
    if made:
        steps.append(f"CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE")
    steps.append(f"GRANT {GROUP} TO {name}")
    for step in steps:
        _try(connection, step, steps)
    if password is not None:
        # Only its SCRAM verifier goes out: a statement may end in the server's log.
        driver = connection.connection.driver_connection
        sealed = psycopg2.extensions.encrypt_password(password, name, driver, "scram-sha-256")
        _try(connection, f"ALTER ROLE {name} PASSWORD '{sealed}'", [])
    confine(connection)


def _try(connection: Connection, statement: str, needed: list[str]) -> None:
    """Run a statement that we may not be allowed to."""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(statement.replace("%", "%%"))
    except ProgrammingError as error:
        words = str(error.orig).strip().splitlines()[0]
        steps = "; ".join(needed)
        by_hand = (
            f"have an administrator run: {steps}; then repeat this"
            if needed
            else ("run this with the role that owns Kadencia's tables")
        )
        raise RegisterError(f"PostgreSQL refused it: {words}", by_hand) from None
