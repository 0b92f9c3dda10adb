"""A driver's session by his bill: what he gets, what a stranger does not, and that it all can be verified."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from anxin.domain.message import Kind
from anxin.domain.quantities import decimal_of
from anxin.evidence.note import parse_vkey
from anxin.flow.check_log import Outcome, Trust, check_documents
from anxin.flow.driver_check import _only_the_bill
from anxin.flow.face_roles import prepare_roles
from anxin.flow.intake import committed_entry, now_utc_ms
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_signer
from anxin.store import messages
from tests.platform.live_city import AS_OF_UTC_MS, LiveCity, enrolled
from tests.platform.packs import publish
from tests.platform.web import serving

TRIES = 10


@pytest.fixture
def judged(platform: Platform, tmp_path: Path) -> LiveCity:
    city = enrolled(platform)
    messages.append(platform.database, city.messages, now_utc_ms(), committed_entry)
    judge = Judge(platform, tmp_path / "scratch")
    judge.settle(AS_OF_UTC_MS)
    judge.close()
    publish(platform)
    return city


def _bills(city: LiveCity) -> list[tuple[str, str]]:
    found = [json.loads(m.payload, parse_float=str, parse_int=str) for m in city.messages if m.kind is Kind.TCEC_ORDER]
    return [(o["StartChargeSeq"], o["TotalMoney"]) for o in found]


def _ask(url: str, order_id: str, amount: str) -> httpx.Response:
    return httpx.post(f"{url}/public/v1/sessions/check", json={"order_id": order_id, "amount": amount}, timeout=30)


def test_a_bill_opens_its_session_and_no_other(platform: Platform, judged: LiveCity) -> None:
    with serving(platform) as url:
        states: dict[str, int] = {}
        whole: dict[str, Any] | None = None
        for order_id, amount in _bills(judged)[:25]:
            answer = _ask(url, order_id, amount)
            assert answer.status_code == 200, answer.text
            assert answer.headers["cache-control"] == "no-store"
            found = answer.json()
            assert found["order"]["order_id"] == order_id
            assert found["order"]["amount_e4"] == int(decimal_of(amount, "amount") * 10_000)
            states[found["verdict"]["state"]] = states.get(found["verdict"]["state"], 0) + 1
            if found["verdict"]["state"] == "agree":
                whole = found
        assert states["agree"] > 10
        assert whole is not None
        # The log's receipts and proofs hold by the auditor that anyone runs, under the platform's published key.
        trust = Trust(parse_vkey(log_signer(platform.settings).vkey))
        for one in whole["evidence"]:
            payload = bytes.fromhex(one["payload"])
            assert hashlib.sha256(payload).hexdigest() == one["receipt"]["payload_sha256"]
            receipt, proof = json.dumps(one["receipt"]).encode(), one["proof"].encode()
            held = check_documents(receipt, proof, payload, None, trust, now_utc_ms() // 1_000)
            assert {"receipt.entry", "record", "proof.inclusion", "proof.log"} <= {
                s.name for s in held.steps if s.outcome is Outcome.HOLDS
            }
            assert not [s for s in held.steps if s.outcome is Outcome.FAILS]
        signed = [r for one in whole["evidence"] for r in one["records"]]
        assert signed
        assert all(r["signed"].startswith("OCMF|") and r["keys"] for r in signed)


def test_a_wrong_amount_is_answered_like_an_unknown_number_and_tries_are_counted(
    platform: Platform, judged: LiveCity
) -> None:
    (order_id, amount), (other, other_amount) = _bills(judged)[:2]
    with serving(platform) as url:
        wrong = _ask(url, order_id, "0.01")
        unknown = _ask(url, "NO-SUCH-ORDER", amount)
        assert (wrong.status_code, unknown.status_code) == (404, 404)
        assert wrong.json() == unknown.json()
        for n in range(TRIES - 1):
            assert _ask(url, order_id, f"{n + 1}.02").status_code == 404
        # Now the right one is refused as well: who guesses does not see that he has guessed.
        assert _ask(url, order_id, amount).json() == wrong.json()
        assert _ask(url, other, other_amount).status_code == 200
        assert _ask(url, order_id, "many").status_code == 422
        assert _ask(url, "", "1").status_code == 422


def test_an_order_that_says_more_than_the_bill_keeps_its_bytes() -> None:
    order = {"StartChargeSeq": "1", "TotalMoney": 1.5, "ChargeDetails": [{"DetailPower": 1}]}
    assert _only_the_bill(json.dumps(order).encode())
    for more in ({"Vin": "LSV"}, {"UserPhone": "1"}, {"ChargeDetails": [{"Card": 1}]}):
        assert not _only_the_bill(json.dumps(order | more).encode())
    assert not _only_the_bill(b"[]")


def test_the_outer_role_has_the_function_alone(platform: Platform, judged: LiveCity) -> None:
    order_id, amount = _bills(judged)[0]
    outer = prepare_roles(platform.database, platform.settings).outer
    with psycopg.connect(outer, autocommit=True) as connection:
        for table in ("driver_check", "fact_record"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"select * from {table}".encode())
        assert connection.execute("select count(*) from verdict").fetchone() == (0,)
        amount_e4 = int(decimal_of(amount, "amount") * 10_000)
        row = connection.execute("select driver_session(%s, %s)", (order_id, amount_e4)).fetchone()
        assert row is not None
        assert row[0]["order"]["order_id"] == order_id
