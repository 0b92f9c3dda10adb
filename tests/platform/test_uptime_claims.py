"""Claims on uptime: who may file and decide, what is left out, and the deeds in the log."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from anxin.domain.connector_status import State
from anxin.domain.party import Party, Role
from anxin.flow.occupancy_keeping import Keeper
from anxin.flow.platform import Platform
from tests.platform.test_occupancy import begin_at, known
from tests.platform.test_statuses import HOUR, NOON, keep, rows
from tests.platform.web import Caller, serving

INSPECTOR = Party("insp", Role.INSPECTOR, "Inspector")
EVIDENCE = "停电通知 notice of the grid operator\n".encode()


def asked(**given: Any) -> str:
    """The query of a claim: c0 from the second to the fifth hour."""
    said = {"from": NOON + HOUR, "to": NOON + 4 * HOUR, "cause": "utility_interruption", "connector": ["c0"],
            "statement": "停电", "name": "notice.txt"} | given  # fmt: skip
    return "/api/occupancy/claims?" + urlencode(said, doseq=True)


def test_an_accepted_claim_is_left_out_beside_the_plain_figure(platform: Platform) -> None:
    known(platform)
    begin_at(platform, NOON // HOUR)
    # c0 is broken for two of ten hours, c2 idle throughout.
    for connector in ("c0", "c2", "c4"):
        keep(platform, ("op", connector, State.IDLE, NOON, 1))
    keep(platform, ("op", "c0", State.FAULT, NOON + 2 * HOUR, 2))
    keep(platform, ("op", "c0", State.IDLE, NOON + 5 * HOUR, 3))
    Keeper(platform).settle(NOON + 10 * HOUR)
    month = datetime.fromtimestamp(NOON / 1_000, UTC).strftime("%Y-%m")
    with serving(platform) as url:
        inspector = Caller(platform, url, INSPECTOR)
        auditor = Caller(platform, url, Party("aud", Role.AUDITOR, "Auditor"))
        west = Caller(platform, url, Party("west", Role.INSPECTOR, "West", districts=("西湖区",)))
        operator = Caller(platform, url, Party("op", Role.OPERATOR, "Operator", "op"))
        other = Caller(platform, url, Party("other", Role.OPERATOR, "Other", "other"))

        def uptime(caller: Caller) -> dict[str, Any]:
            groups = caller.get(f"/api/occupancy/uptime?by=operator&month={month}")[1]["groups"]
            return next(g for g in groups if g["key"] == "op")

        plain = uptime(inspector)
        assert plain["nevi_uptime"]["down_ms"] == 3 * HOUR
        assert plain["claims"] == {"accepted": 0, "open": 0}
        for query, status in (
            (asked(connector=["c1"]), 409), (asked(cause="rain"), 422), (asked(to=NOON), 422),
            (asked(name="x.exe"), 422),
            (asked(to=NOON + 40 * 24 * HOUR), 422),
        ):  # fmt: skip
            assert operator.post(query, EVIDENCE)[0] == status, query
        assert operator.post(asked(), b"")[0] == 422
        assert inspector.post(asked(), EVIDENCE)[0] in (404, 405)
        status, claim = operator.post(asked(), EVIDENCE)
        assert (status, claim["state"]) == (200, "open")
        assert uptime(inspector)["claims"] == {"accepted": 0, "open": 1}
        assert uptime(inspector)["nevi_uptime_excluding"]["excluded_ms"] == 0
        number = claim["claim_id"]
        decision = f"/api/occupancy/claims/{number}/decision"
        assert [c["claim_id"] for c in operator.get("/api/occupancy/claims")[1]] == [number]
        assert other.get("/api/occupancy/claims")[1] == []
        assert west.get("/api/occupancy/claims")[1] == []
        assert west.post(decision, json={"accept": True, "reason": "seen"})[0] == 404
        assert auditor.post(decision, json={"accept": True, "reason": "seen"})[0] == 403
        assert operator.post(decision, json={"accept": True, "reason": "seen"})[0] == 404
        status, done = inspector.post(decision, json={"accept": True, "reason": "见停电通知"})
        assert (status, done["state"], done["decision"]) == (200, "accepted", "见停电通知")
        assert inspector.post(decision, json={"accept": False, "reason": "no"})[0] == 409
        # Two hours of the outage lie in the claim; the third does not, nor does what was no outage.
        for caller in (inspector, operator):
            shown = uptime(caller)
            assert shown["nevi_uptime"] == plain["nevi_uptime"]
            assert shown["nevi_uptime_excluding"]["excluded_ms"] == 2 * HOUR
            assert shown["nevi_uptime_excluding"]["down_ms"] == HOUR
            assert shown["nevi_uptime_excluding"]["share_ppm"] > shown["nevi_uptime"]["share_ppm"]
            assert shown["claims"] == {"accepted": 1, "open": 0}
        _, second = operator.post(asked(**{"from": NOON + 4 * HOUR, "to": NOON + 5 * HOUR}), EVIDENCE)
        refused = f"/api/occupancy/claims/{second['claim_id']}/decision"
        assert inspector.post(refused, json={"accept": False, "reason": "no proof"})[1]["state"] == "refused"
        assert uptime(inspector)["nevi_uptime_excluding"]["excluded_ms"] == 2 * HOUR
    deeds = rows(platform, "select payload from message where kind = 'deed.uptime' order by index")
    said = [json.loads(bytes(p)) for (p,) in deeds]
    assert [d.get("decision") for d in said] == [None, "accepted", None, "refused"]
    assert said[0]["evidence_sha256"] == claim["evidence"]["sha256"]
    assert [d["by"] for d in said] == ["op", "insp", "op", "insp"]
