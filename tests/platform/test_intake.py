"""Messages become evidence: numbered without a gap, once each, with the same receipt for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from anxin.domain.errors import PolicyError, StoreError
from anxin.domain.message import Accepted, Kind, Message, Refused
from anxin.evidence.auditor import Row, audit_log, folder_of
from anxin.evidence.commitment import fits
from anxin.evidence.publisher import LogPublisher
from anxin.flow.intake import committed_entry
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_folder, log_signer
from anxin.settings import load_settings
from anxin.store import ledger
from anxin.store import messages as store
from anxin.store.database import Database, migrate
from anxin.store.log_rows import message_rows


def order(number: int, text: bytes = b"{}") -> Message:
    return Message(Kind.TCEC_ORDER, "123456789", f"seq-{number}", text, b"envelope")


def append(platform: Platform, *messages: Message) -> list[Accepted]:
    return store.append(platform.database, messages, 1_000, committed_entry)


def test_a_message_sent_again_has_its_first_receipt_and_other_bytes_are_a_conflict(platform: Platform) -> None:
    (first,) = append(platform, order(1))
    assert fits(first.receipt)
    assert not first.repeated
    (again,) = append(platform, replace(order(1), envelope=b"another envelope around the same order"))
    assert again.repeated
    assert again.receipt == first.receipt
    (other,) = append(platform, order(1, b'{"a":1}'))
    assert other.conflicts_with == first.receipt.index
    assert other.receipt.index == 1
    # Within one group commit it is the same.
    outcomes = append(platform, order(2), order(2), order(2, b"[]"), order(1))
    assert [(a.receipt.index, a.repeated, a.conflicts_with) for a in outcomes] == [
        (2, False, None),
        (2, True, None),
        (3, False, 2),
        (0, True, None),
    ]
    assert store.receipt(platform.database, 0) == first.receipt


def test_racing_writers_number_without_a_gap_and_keep_each_message_once(platform: Platform) -> None:
    batches = [[order(n % 40) for n in range(start, start + 25)] for start in range(0, 400, 10)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda batch: append(platform, *batch), batches))
    receipts = {a.receipt.message_id: a.receipt for batch in found for a in batch}
    assert all(receipts[a.receipt.message_id] == a.receipt for batch in found for a in batch)
    assert sorted(r.index for r in receipts.values()) == list(range(40)) == list(range(store.size(platform.database)))


def test_what_is_kept_is_published_and_audited_and_an_altered_row_is_named(platform: Platform) -> None:
    append(platform, *(order(n) for n in range(300)))
    signer, folder = log_signer(platform.settings), log_folder(platform.settings)
    LogPublisher(folder, signer).publish(
        lambda first, count: store.entries(platform.database, first, count), store.size(platform.database)
    )
    clean = audit_log(folder_of(folder), signer.vkey, (Row(*r) for r in message_rows(platform.database)))
    assert (clean.faults, clean.size, clean.rows) == ([], 300, 300)
    with psycopg.connect(platform.database.url) as connection:
        connection.execute("update message set payload = 'altered' where index = 17")
    faults = audit_log(folder_of(folder), signer.vkey, (Row(*r) for r in message_rows(platform.database))).faults
    assert faults == ["message 17: the payload is not the one that was received"]


def test_the_ledger_of_refusals_keeps_what_was_wrong_and_forgets_the_oldest(platform: Platform) -> None:
    for number in range(5):
        refused = Refused("tcec102.order", "123456789", None, "tcec102.time", f"no. {number} \0", b"\0", "StartTime")
        ledger.refuse(platform.database, refused, number, kept=3)
    with platform.database.transaction() as connection:
        rows = connection.execute("select detail from refused order by refused_id").fetchall()
    assert [r[0] for r in rows] == ["no. 2 ", "no. 3 ", "no. 4 "]


def test_a_database_that_would_acknowledge_too_early_is_refused(platform: Platform) -> None:
    with psycopg.connect(platform.database.url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"alter database {name} set synchronous_commit = off".encode())
    with Database(platform.database.url) as database, pytest.raises(StoreError, match="synchronous_commit"):
        store.refuse_unsafe(database)


def test_a_database_of_a_later_version_is_refused_and_migrating_twice_does_nothing(platform: Platform) -> None:
    assert migrate(platform.database) == []
    with platform.database.transaction() as connection:
        connection.execute("insert into migration (name) values ('9999_later.sql')")
    with pytest.raises(StoreError, match="9999_later"):
        migrate(platform.database)


def test_an_unknown_setting_or_a_wrong_value_refuses_to_start() -> None:
    assert load_settings({"ANXIN_PORT": "9", "HOME": "x"}).port == 9
    with pytest.raises(PolicyError, match="ANXIN_PROT"):
        load_settings({"ANXIN_PROT": "9"})
    with pytest.raises(PolicyError, match="ANXIN_PORT"):
        load_settings({"ANXIN_PORT": "nine"})
