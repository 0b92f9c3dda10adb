"""What a driver's bill opens: one session, by a function of the database, which counts wrong tries."""

from __future__ import annotations

from typing import Any

from anxin.store.database import Database


def session_of_bill(database: Database, order_id: str, amount_e4: int) -> dict[str, Any] | None:
    """Return order, record, verdict, findings and messages of the session of this bill; None where there is no such
    order, the bill has another amount, or too many amounts were tried on the number today."""
    with database.transaction() as connection:
        row = connection.execute("select driver_session(%s, %s)", (order_id, amount_e4)).fetchone()
    found: dict[str, Any] | None = None if row is None else row[0]
    return found
