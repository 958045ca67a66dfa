"""What segments have cost, as the delivery reports of an account showed."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Connection, text

PRICES = text("""
    SELECT operator, price FROM eurosms_price
    WHERE account_id = :account AND calling_code = :calling_code
""")

DEAREST = text("SELECT max(price) FROM eurosms_price WHERE account_id = :account")


def prices(connection: Connection, account_id: int, calling_code: str) -> dict[str, Decimal]:
    """EUR for a segment to each operator of a country that was seen so far.

    Args:
        connection: any.
        account_id: over which they were sent.
        calling_code: with "+", as in `recipient.domain`.
    """
    values = {"account": account_id, "calling_code": calling_code}
    return {row.operator: row.price for row in connection.execute(PRICES, values)}


def dearest(connection: Connection, account_id: int) -> Decimal | None:
    """The most that a segment to anywhere has cost over an account; None if nothing is known."""
    found: Decimal | None = connection.execute(DEAREST, {"account": account_id}).scalar()
    return found
