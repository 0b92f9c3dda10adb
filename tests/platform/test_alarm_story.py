"""The whole story on real services: a cheat in the live city, its alarm, the operator, two officers, and the auditor.

The record comes in at the meters' door over HTTP; judge, desk and publisher run as in production.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from anxin.domain.message import Kind
from anxin.domain.party import Party, Role
from anxin.evidence.auditor import Row, audit_log, folder_of
from anxin.evidence.note import parse_vkey
from anxin.evidence.proofs import Proofs
from anxin.flow.check_log import Trust, check_documents
from anxin.flow.desk import desk_for_ever
from anxin.flow.intake import committed_entry, now_utc_ms
from anxin.flow.live import Judge, judge_for_ever
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_folder, log_signer, publish_for_ever
from anxin.store import messages
from anxin.store.database import Database
from anxin.store.log_rows import message_rows
from tests.platform.live_city import enrolled
from tests.platform.test_desk import all_alarms, rows
from tests.platform.web import Caller, serving

#: A machine that is busy with other things is slower than the two seconds that are measured on a quiet one.
PATIENCE_S = 60.0


@contextmanager
def working(*work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Let pieces of the platform work in threads until the block ends."""
    stop = threading.Event()
    threads = [threading.Thread(target=one, args=(stop,), daemon=True) for one in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def until(found: Callable[[], Any]) -> Any:
    """Return what is found, as soon as it is."""
    end = time.monotonic() + PATIENCE_S
    while not (value := found()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return value


def act(caller: Caller, number: int, what: str, **said: Any) -> dict[str, Any]:
    """Do one act on an alarm as it stands."""
    url = f"{caller.base}/api/alarms/{number}"
    seen = httpx.get(url, headers=caller.headers, timeout=30)
    assert seen.status_code == 200, seen.text
    held = caller.headers | {"if-match": seen.headers["etag"]}
    answer = httpx.post(f"{url}/{what}", headers=held, json=said, timeout=30)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_cheat_becomes_an_alarm_that_two_officers_close_and_each_step_is_proven(
    platform: Platform, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    # A city of the last two days: what is missing may still come, as in a city that lives.
    today = datetime.now(ZoneInfo("Asia/Shanghai")).date()
    city = enrolled(platform, chargers=60, days=2, cheats=1, start=today - timedelta(days=2))
    ((_, truths),) = list(city.city.spans())
    chargers = Counter(t["charger_id"] for t in truths)
    cheat = next(t for t in truths if t["kind"] == "forged_signature" and chargers[t["charger_id"]] == 1)
    held = [m for m in city.messages if m.kind is Kind.METER_ENVELOPE and m.sender == cheat["meter_id"]]
    others = [m for m in city.messages if m not in held]
    assert held
    messages.append(platform.database, others[:-1], now_utc_ms(), committed_entry)
    judge = Judge(platform, tmp_path / "scratch")
    judge.settle()
    judge.close()

    def database() -> Database:
        made = Database(platform.database.url)
        made.open()
        return made

    def publish(stop: threading.Event) -> None:
        made = database()
        publish_for_ever(made, platform.settings, stop)
        made.close()

    with ExitStack() as stack:
        url = stack.enter_context(serving(platform))
        stack.enter_context(
            working(lambda stop: judge_for_ever(platform, stop), lambda stop: desk_for_ever(platform, stop), publish)
        )
        # The judge that starts compiles its rule book first: it is at work once it has judged one more message.
        messages.append(platform.database, others[-1:], now_utc_ms(), committed_entry)
        until(lambda: rows(platform, "select 1 from counter, log_head where name = 'judged' and value = size"))
        until(lambda: not rows(platform, "select 1 from touched where due_utc_ms = 0 limit 1"))
        until(lambda: not rows(platform, "select 1 from finding_queue limit 1"))
        before = {a.alarm_id for a in all_alarms(platform)}

        # 1 The meter hands its records in; one of them is forged.
        for message in held:
            sent = httpx.post(f"{url}/meter/v1/records", content=message.payload, timeout=30)
            assert sent.status_code in (200, 201), sent.text
        charger = cheat["charger_id"]
        alarm = until(
            lambda: next((a for a in all_alarms(platform) if a.charger_id == charger and a.cause == "record"), None)
        )
        number = alarm.alarm_id
        assert (alarm.severity.value, number in before) == ("grave", False)
        ((received,),) = rows(
            platform,
            "select min(m.received_utc_ms) from alarm_finding a join finding f using (finding_id)"
            " join fact_record r on r.record_id = any(f.record_ids)"
            " join fact_signed_record s using (transaction_key) join message m on m.index = s.message_index"
            " where a.alarm_id = %s and f.rule = 'R17'",
            number,
        )
        record_property("receipt_to_alarm_ms", alarm.opened_utc_ms - received)
        print(f"receipt to alarm: {alarm.opened_utc_ms - received} ms")

        # 2 The inspector sends it, the operator's manager answers as himself, the inspector proposes.
        inspector = Caller(platform, url, Party("li", Role.INSPECTOR, "李"))
        second = Caller(platform, url, Party("wang", Role.INSPECTOR, "王"))
        manager = Caller(platform, url, Party("boss", Role.MANAGER, "经理", alarm.operator_id))
        assert manager.get(f"/api/alarms/{number}")[0] == 404, "not before it is sent"
        act(inspector, number, "send", text="该记录签名不成立，请说明。")
        act(manager, number, "answer", text="电能表固件异常。")
        act(inspector, number, "review")
        assert (
            act(inspector, number, "propose", text="记录被改动。", conclusion="operator_fault")["state"] == "proposed"
        )

        # 3 He cannot confirm his own proposal; a second officer closes.
        alone = httpx.post(
            f"{inspector.base}/api/alarms/{number}/confirm", headers=inspector.headers,
            json={"version": all_alarms(platform)[-1].version}, timeout=30,
        )  # fmt: skip
        assert alone.status_code in (403, 409)
        closed = act(second, number, "confirm", text="同意。")
        assert (closed["state"], closed["conclusion"]) == ("closed", "operator_fault")

        # 4 Every person's step is in the published log, with a proof that holds without the platform.
        _, document = inspector.get(f"/api/alarms/{number}")
        people = [s for s in document["steps"] if s["by"] != "system"]
        assert [(s["act"], s["by"]) for s in people] == [
            ("send", "li"), ("answer", "boss"), ("review", "li"), ("propose", "li"), ("confirm", "wang"),
        ]  # fmt: skip
        signer, folder = log_signer(platform.settings), log_folder(platform.settings)
        last = max(s["index"] for s in people)
        until(lambda: (folder / "checkpoint").is_file()
              and Proofs(folder, parse_vkey(signer.vkey)).inclusion(last) is not None)  # fmt: skip
        for step in people:
            ((_, message, _),) = messages.stored(platform.database, [step["index"]])
            assert json.loads(message.payload)["said_sha256"] == step["said_sha256"]
            receipt = inspector.get(f"/api/receipts/{step['index']}")[1]
            proof = httpx.get(f"{url.regulator}/log/proof/{step['index']}").content
            checked = check_documents(
                json.dumps(receipt).encode(), proof, message.payload, None, Trust(parse_vkey(signer.vkey)),
                int(time.time()),
            )  # fmt: skip
            assert checked.exit_code == 0, checked

    # 5 The auditor, who shares no code with the log's writer, finds nothing wrong.
    audit = audit_log(folder_of(folder), signer.vkey, [Row(*row) for row in message_rows(platform.database)])
    assert (audit.faults, audit.size > last) == ([], True)
