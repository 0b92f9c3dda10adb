"""What may be asked for in the address of a reading request: bounded, and nothing that no row can hold."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from anxin.flow import live_reading

#: Numbers of rows are 64 bits wide in the database.
Before = Annotated[int | None, Query(ge=0, lt=1 << 63)]
Limit = Annotated[int, Query(ge=1, le=live_reading.MAX_PAGE)]
#: A word to look for: letters that the platform's own words are made of.
Word = Annotated[str | None, Query(max_length=64, pattern=r"^[A-Za-z0-9_.:-]*$")]
