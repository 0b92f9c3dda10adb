"""Every departure from OCMF that is read all the same: its kind, the clause it departs from, and what it means.

`docs/formats/ocmf.md` lists each kind with a record that shows it; a test holds the two together.
Clauses are those of OCMF 1.4.1 (SAFE e.V.), named by heading or table.
"""

from __future__ import annotations

from anxin.domain.source import Deviation

#: kind -> (clause, what is read and how)
CLAUSES: dict[str, tuple[str, str]] = {
    "ocmf.pipe_in_section": (
        "JSON based OCMF Format",
        "a '|' inside a JSON string; sections are split by JSON grammar",
    ),
    "ocmf.fv_missing": ("Table 1, FV", "no format version; read as the latest"),
    "ocmf.fv_unknown": ("Versioning of the Document", "a version that was never published; read as the latest"),
    "ocmf.field_type": ("Tables 1 to 6", "a field of another JSON type than the table gives"),
    "ocmf.key_unknown": ("Extension Points in Payload Data Section", "a top-level name neither defined nor U to Z"),
    "ocmf.pg_missing": ("Table 2, PG", "no pagination; continuity cannot be checked"),
    "ocmf.pg_shape": ("Table 2, PG", "pagination is not T or F and a number without leading zeros"),
    "ocmf.ms_missing": ("Table 3, MS", "no meter serial; the gateway's serial stands in for it"),
    "ocmf.serial_missing": ("Relation of Serial Numbers, Charge Point and Public Key", "neither GS nor MS"),
    "ocmf.is_missing": ("Table 4, IS", "no user assignment status in a transaction"),
    "ocmf.is_type": ("Table 4, IS", "IS is a text (its meaning before 1.0); read as the level"),
    "ocmf.il_unknown": ("Table 11", "an unknown level of user assignment"),
    "ocmf.if_unknown": ("Tables 13 to 16", "an unknown identification flag, or two of one group"),
    "ocmf.it_unknown": ("Table 17", "an unknown or missing identification type"),
    "ocmf.id_shape": ("Table 17", "identification data that its type does not allow"),
    "ocmf.text_length": ("Tables 4, 5 and 24", "a text longer than its field allows"),
    "ocmf.ct_unknown": ("Table 18", "an unknown type of charge point identification"),
    "ocmf.lc_shape": ("Table 24", "loss compensation without resistance or unit, or with another unit"),
    "ocmf.rd_missing": ("Readings", "no readings at all"),
    "ocmf.reading_key_unknown": ("Table 7", "a name inside a reading that is not defined"),
    "ocmf.ei_kept": ("Table 7", "the event counter EI of drafts before 1.0"),
    "ocmf.tm_missing": ("Table 7, TM", "no time in the first reading"),
    "ocmf.tm_shape": ("Table 7, TM", "time not written as 2018-07-24T13:22:04,000+0200"),
    "ocmf.tm_no_sync": ("Table 19", "time without its synchronisation letter; the clock counts as unknown"),
    "ocmf.tm_sync_unknown": ("Table 19", "an unknown synchronisation letter; the clock counts as unknown"),
    "ocmf.tx_unknown": ("Table 7, TX", "an unknown reason of reading"),
    "ocmf.rv_missing": ("Table 7, RV", "a reading without value and without an error that would explain it"),
    "ocmf.rv_as_text": ("Table 7, RV", "the value is a JSON string; read as the number it shows"),
    "ocmf.rv_range": ("Table 7, RV", "a value that no register reaches; it is not used"),
    "ocmf.ri_shape": ("Table 25, IEC 62056-6-1", "not an OBIS code"),
    "ocmf.ru_missing": ("Table 7, RU", "a value without unit; it is not used"),
    "ocmf.ru_unknown": ("Table 20", "a unit that is not predefined; it is not used as energy"),
    "ocmf.rt_unknown": ("Table 21", "an unknown current type"),
    "ocmf.cl_shape": ("Table 7, CL", "cumulated loss is no number or stands without an energy"),
    "ocmf.cl_not_reset": ("Table 7, CL", "cumulated loss is not zero at the begin of the transaction"),
    "ocmf.ef_unknown": ("Table 7, EF", "an error flag other than E and t"),
    "ocmf.st_missing": ("Table 7, ST", "no meter status"),
    "ocmf.st_unknown": ("Table 10", "an unknown meter status"),
    "ocmf.sa_spelling": ("Table 22", "the algorithm in another spelling; read as the one of table 22"),
    "ocmf.sa_not_in_table": ("Table 22", "an algorithm outside of table 22"),
    "ocmf.se_spelling": ("Table 8, SE", "the encoding in another spelling, or not the one that was used"),
    "ocmf.sm_unknown": ("Table 8, SM", "a signature type other than application/x-der; read as DER"),
    "ocmf.sd_spaces": ("Table 8, SD", "white space inside the signature data"),
    "ocmf.signature_key_unknown": (
        "Extension Points in Signature Section",
        "a name neither defined nor A to F, U to Z",
    ),
}


def deviation(kind: str, detail: str, field: str | None = None) -> Deviation:
    """Return the deviation of one kind of CLAUSES. A kind that is not listed is a defect of the caller (KeyError)."""
    return Deviation(kind, f"OCMF 1.4.1, {CLAUSES[kind][0]}", detail, field)
