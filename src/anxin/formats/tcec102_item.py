"""One JSON object of a T/CEC 102 message while it is read: fields under the standard's names, each departure noted."""

from __future__ import annotations

from decimal import Decimal

from anxin.domain.errors import FormatError
from anxin.domain.source import Deviation, Source
from anxin.formats.deviation_log import DeviationLog
from anxin.formats.tcec102_fields import by_standard_names
from anxin.formats.values import clean_text, exact

#: Longest ids by T/CEC 102.2: a longer one is read, and noted.
ID_CHARS = {"StationID": 20, "OperatorID": 9, "EquipmentID": 23, "ConnectorID": 26}


class Item:
    """One object. Raises FormatError `tcec102.shape` where the value is none, `tcec102.field_twice` (see fields)."""

    def __init__(self, value: object, fields: frozenset[str], clause: str, source: Source, log: DeviationLog) -> None:
        if not isinstance(value, dict):
            raise FormatError("tcec102.shape", f"not a JSON object: {type(value).__name__}")
        self.named, deviations = by_standard_names(value, fields, clause)
        self.clause, self.source, self.log = clause, source, log
        for deviation in deviations:
            log.add(source, deviation)

    def note(self, kind: str, detail: str, name: str | None) -> None:
        """Note one departure."""
        self.log.add(self.source, Deviation(kind, self.clause, detail, name))

    def text(self, name: str) -> str | None:
        """Return a text that should be there. Raises FormatError `text.*`."""
        value = self.named.get(name)
        text = clean_text(value, name)
        if text is None:
            self.note("tcec102.missing", f"{name} is missing", name)
        elif not isinstance(value, str):
            self.note("tcec102.text_as_number", f"{name} is a number", name)
        if text is not None and len(text) > ID_CHARS.get(name, len(text)):
            self.note("tcec102.id_length", f"{name} has {len(text)} characters, not at most {ID_CHARS[name]}", name)
        return text

    def needed_text(self, name: str) -> str:
        """Return a text that must be there. Raises FormatError `tcec102.missing`, `text.*`."""
        if clean_text(self.named.get(name), name) is None:
            raise FormatError("tcec102.missing", f"{name} is missing", name)
        return self.text(name) or ""

    def number(self, name: str) -> Decimal | None:
        """Return a number, None where there is none. Raises FormatError `number.*`."""
        value = self.named.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            self.note("tcec102.number_as_text", f"{name} is a text", name)
        return exact(value, name)

    def code(self, name: str, allowed: frozenset[int]) -> int | None:
        """Return a code of the standard's list; None, noted, for any other."""
        value = self.named.get(name)
        if value is None or value == "":
            return None
        try:
            number = self.number(name)
        except FormatError:
            number = None
        if number is not None and number in allowed:
            return int(number)
        self.note("tcec102.code", f"{name} {str(value)[:40]!r} is none of the standard's", name)
        return None

    def items(self, name: str, most: int) -> list[object]:
        """Return a list; one object alone is noted and read as a list of one. Raises FormatError `tcec102.list`."""
        value = self.named.get(name)
        if isinstance(value, dict):
            self.note("tcec102.object_for_list", f"{name} is one object instead of a list", name)
            value = [value]
        if not isinstance(value, list) or len(value) > most:
            raise FormatError("tcec102.list", f"{name} is no list of at most {most} objects", name)
        return value
