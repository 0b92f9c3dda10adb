"""Messages that came under the id of an earlier one, with other bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anxin.domain.message import Conflict, Kind


def conflicts_among(connection: Any, indexes: Sequence[int]) -> list[Conflict]:
    """Return the conflicts of those of these messages that are in one, each with the message that came first."""
    rows = connection.execute(
        "select kind, sender, message_id, conflicts_with, index, received_utc_ms from message"
        " where index = any(%s) and conflicts_with is not null order by index",
        (list(indexes),),
    )
    return [Conflict(Kind(r[0]), *r[1:]) for r in rows]
