"""Erasure: what a message said goes, from the tables of facts as well; its entry, its verdict and the deed stay."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from anxin.cli.main import main
from anxin.domain.errors import InputError
from anxin.domain.message import Kind, Message, Receipt
from anxin.domain.party import Party, Role
from anxin.evidence.auditor import Row, audit_log, folder_of
from anxin.faces.regulator import create_app
from anxin.flow.enrol import new_token
from anxin.flow.erasing import MAX_REASON_CHARS, erase
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_folder, log_signer
from anxin.store import messages as store
from anxin.store.log_rows import message_rows
from tests.platform.live_city import AS_OF_UTC_MS, enrolled
from tests.platform.test_live import findings, rejudged, send_and_judge, verdicts
from tests.platform.test_log_commands import publish, take_in

NOW = AS_OF_UTC_MS + 10_000
WHY = ("杭州市市场监管局 张三", "用户申请删除，案号 2026-17")


@pytest.fixture
def taken_in(platform: Platform) -> list[Receipt]:
    """Ten messages, judged; the fourth is a record that names a user."""
    receipts = take_in(platform, 10)
    with platform.database.transaction() as connection:
        connection.execute("update counter set value = 10 where name = 'judged'")
        connection.execute("insert into fact_signed_record values (3, 0, 'tx-3', 'key', 'authentic', '')")
        connection.execute(
            "insert into fact_record (transaction_key, record_id, source_file, source_row, user_ref, clock,"
            " energy_quantum_milli_wh, time_quantum_ms, answer, reason, closed)"
            " values ('tx-3', 'r', 'message:3', 1, 'a driver', 'synchronised', 1, 1, 'authentic', '', true)"
        )
    return receipts


@pytest.fixture
def judged(platform: Platform, tmp_path: Path) -> Iterator[tuple[Judge, list[Message]]]:
    """A platform with a small city's messages, all judged, and its judge."""
    city = enrolled(platform, chargers=4, days=1, cheats=0)
    judge = Judge(platform, tmp_path / "scratch")
    send_and_judge(platform, judge, city.messages, 1_000)
    yield judge, city.messages
    judge.close()


def with_user(platform: Platform) -> tuple[int, str]:
    """A message whose record names a user, and the transaction."""
    with platform.database.transaction() as connection:
        row = connection.execute(
            "select s.message_index, s.transaction_key from fact_signed_record s join fact_record r"
            " using (transaction_key) where r.user_ref is not null order by 1 limit 1"
        ).fetchone()
    assert row is not None, "the city's records name users"
    return row[0], row[1]


def users_of(platform: Platform, transaction: str) -> list[str | None]:
    with platform.database.transaction() as connection:
        rows = connection.execute("select user_ref from fact_record where transaction_key = %s", (transaction,))
        return [row[0] for row in rows]


def test_what_it_said_goes_and_entry_verdict_and_deed_stay(
    platform: Platform, judged: tuple[Judge, list[Message]]
) -> None:
    judge, sent = judged
    index, transaction = with_user(platform)
    before = verdicts(platform), findings(platform)
    assert before[0]
    deed = erase(platform.database, index, *WHY, NOW)
    with platform.database.transaction() as connection:
        row = connection.execute("select payload, envelope, salt from message where index = %s", (index,)).fetchone()
        said = connection.execute("select payload, sender from message where index = %s", (deed.index,)).fetchone()
    assert row == (None, None, None)
    assert users_of(platform, transaction) == [None]
    assert said is not None
    assert json.loads(said[0]) == {
        "deed": "erasure", "index": index, "by": WHY[0], "reason": WHY[1], "at_utc_ms": NOW
    }  # fmt: skip
    # The log is whole, and the auditor takes the erasure for what it is.
    publish(platform)
    vkey = log_signer(platform.settings).vkey
    audit = audit_log(
        folder_of(log_folder(platform.settings)), vkey, (Row(*r) for r in message_rows(platform.database))
    )
    assert (audit.faults, audit.erased) == ([], 1)
    # Whatever is judged again afterwards, and however often: the same verdicts, and the user does not come back.
    rejudged(platform, judge)
    assert (verdicts(platform), findings(platform)) == before
    assert users_of(platform, transaction) == [None]
    # A copy that is sent again is known, and is not kept anew.
    (again,) = store.append(platform.database, [sent[index]], NOW + 1, lambda *_: bytes(32))
    assert (again.repeated, again.receipt.index, again.receipt.salt) == (True, index, None)
    judge.settle(AS_OF_UTC_MS)
    assert users_of(platform, transaction) == [None]


def test_a_judge_that_decoded_it_before_does_not_bring_the_user_back(
    platform: Platform, taken_in: list[Receipt]
) -> None:
    index, transaction = with_user(platform)
    assert users_of(platform, transaction) == ["a driver"]
    started, erased = threading.Event(), threading.Event()

    def rewrite() -> None:
        with platform.database.transaction() as connection:
            row = connection.execute(
                "select to_jsonb(r) - 'record_no' from fact_record r where transaction_key = %s", (transaction,)
            ).fetchone()
            assert row is not None
            started.set()
            erased.wait(10)
            connection.execute("delete from fact_record where transaction_key = %s", (transaction,))
            names = [n for n, v in row[0].items() if v is not None]
            columns, holes = ", ".join(names), ", ".join(["%s"] * len(names))
            values = [row[0][n] for n in names]
            connection.execute(f"insert into fact_record ({columns}) values ({holes})".encode(), values)

    thread = threading.Thread(target=rewrite)
    thread.start()
    started.wait(10)
    erase(platform.database, index, *WHY, NOW)
    erased.set()
    thread.join()
    assert users_of(platform, transaction) == [None]


def test_what_cannot_be_erased_is_refused_and_nothing_changes(platform: Platform, taken_in: list[Receipt]) -> None:
    size = store.size(platform.database)
    deed = erase(platform.database, 3, *WHY, NOW)
    store.append(platform.database, [Message(Kind.TCEC_ORDER, "x", "new", b"{}")], NOW, lambda *_: bytes(32))
    with platform.database.transaction() as connection:
        connection.execute("update counter set value = 11 where name = 'judged'")
    for index, by, reason, said in (
        (3, *WHY, "erased before"),
        (deed.index, *WHY, "deeds are not erased"),
        (size + 1, *WHY, "waits to be judged"),
        (size + 2, *WHY, "no message"),
        (-1, *WHY, "no message"),
        (1 << 70, *WHY, "no message"),
        (4, "", WHY[1], "by"),
        (4, WHY[0], " ", "reason"),
        (4, WHY[0], "two\nlines", "reason"),
        (4, WHY[0], "x" * (MAX_REASON_CHARS + 1), "reason"),
    ):
        with pytest.raises(InputError, match=said):
            erase(platform.database, index, by, reason, NOW)
    assert store.size(platform.database) == size + 2
    with platform.database.transaction() as connection:
        assert connection.execute("select count(*) from message where payload is null").fetchone() == (1,)


def test_the_database_itself_refuses_half_an_erasure(platform: Platform, taken_in: list[Receipt]) -> None:
    for half in ("payload = null", "salt = null", "payload = null, salt = null, envelope = 'x'"):
        with (
            psycopg.connect(platform.database.url) as connection,
            pytest.raises(psycopg.errors.CheckViolation, match="message_erased_wholly"),
        ):
            connection.execute(f"update message set {half} where index = 0".encode())


def test_by_command_and_what_the_api_answers_then(
    platform: Platform, taken_in: list[Receipt], pg_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANXIN_DATABASE_URL", pg_url)
    words = ["log", "erase", "5", "--by", WHY[0], "--reason", WHY[1], "--data", str(platform.settings.data_dir)]
    token = new_token(platform.database, platform.vault, Party("inspector", Role.INSPECTOR, "检查员"))
    platform.refresh()

    async def receipt() -> dict[str, object]:
        transport = httpx.ASGITransport(create_app(platform))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as web:
            answer = await web.get("/api/receipts/5", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        found: dict[str, object] = answer.json()
        return found

    kept = asyncio.run(receipt())
    assert main(words) == 0
    left = asyncio.run(receipt())
    assert left == kept | {"salt": None}
    assert kept["salt"]
    assert main(words) == 2
