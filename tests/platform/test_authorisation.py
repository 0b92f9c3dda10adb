"""Every cell of the authorisation matrix on real servers: route x role x own, foreign tenant, foreign district."""

from __future__ import annotations

import dataclasses
import http.client
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from anxin.domain.message import Kind, Message, Refused
from anxin.domain.party import OF_OPERATOR, OUTSIDE, REGULATOR, Credential, Party, Role
from anxin.faces.rights import RIGHTS
from anxin.flow import enrol
from anxin.flow.intake import committed_entry, now_utc_ms
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.store import ledger, messages, parties
from tests.platform import authorisation
from tests.platform.authorisation import DECLARED, SIDES, Route
from tests.platform.live_city import AS_OF_UTC_MS, LiveCity, enrolled
from tests.platform.web import Served, serving
from tests.vectors.shared import ROOT

ROUTES = authorisation.routes()
ABSENT = 10**9


@dataclass
class World:
    """Two operators with two people each, a bench, the regulator's people, and something of everybody."""

    platform: Platform
    served: Served
    tokens: dict[str, str]
    #: Kind of a thing -> whose it is -> its id.
    things: dict[str, dict[str, int]]

    def party_of(self, who: str) -> Party:
        """Return the party whose token it is."""
        found = self.platform.directory.party_of_token(self.tokens[who])
        assert found is not None
        return found

    def call(self, route: Route, who: str, **ids: object) -> httpx.Response:
        """Call a route; what its path names is absent where no id is given."""
        path = re.sub(r"\{(\w+)(:path)?\}", lambda m: str(ids.get(m[1], ABSENT)), route.path)
        base = str(self.served) if route.side == "outer" else self.served.regulator
        held = {"authorization": f"Bearer {self.tokens[who]}"} if who else {}
        body = DECLARED["id"].get(route.name, {}).get("body", "").encode()
        if body:
            held["content-type"] = "application/json"
        with httpx.stream(route.method, f"{base}{path}", headers=held, content=body, timeout=30) as answer:
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):  # which has no end
                answer.read()
            return answer


@pytest.fixture
def city(platform: Platform) -> LiveCity:
    return enrolled(platform, chargers=12, days=1, cheats=0)


@pytest.fixture
def world(platform: Platform, city: LiveCity, tmp_path: Path) -> Iterator[World]:
    platform.settings = dataclasses.replace(
        platform.settings, guesses_per_minute=100_000, address_burst=100_000, address_rate_per_s=100_000
    )
    orders = {m.sender: m for m in city.messages if m.kind is Kind.TCEC_ORDER}
    own, other = sorted(orders)[:2]
    by_district: dict[str, str] = {}
    for m in platform.directory.register.meters:
        district = platform.directory.district_of_connector(m.connector_id)
        if district is not None:
            by_district.setdefault(district, m.meter_id)
    here, there = sorted(by_district)[:2]
    bench, foreign_bench = Party("bench-1", Role.BENCH, "检定装置"), Party("bench-2", Role.BENCH, "另一装置")
    people = {role.value: Party(f"{role.value}-1", role, "某人") for role in REGULATOR}
    people |= {f"{role.value} here": Party(f"{role.value}-2", role, "某人", districts=(here,)) for role in REGULATOR}
    people |= {r.value: Party(f"{r.value}-1", r, "某人", own) for r in (Role.ENGINEER, Role.MANAGER)}
    known = platform.directory.parties
    people |= {"operator": known[own], "bench": bench, "meter": known[by_district[here]]}
    people |= {"charger": Party("charger-1", Role.CHARGER, "充电桩", own)}
    tokens = {name: enrol.new_token(platform.database, platform.vault, party) for name, party in people.items()}
    enrol.new_token(platform.database, platform.vault, foreign_bench)
    senders = {"own": own, "other": other, "bench": "bench-1", "foreign bench": "bench-2",
               "here": by_district[here], "there": by_district[there]}  # fmt: skip
    kept = messages.append(
        platform.database,
        [Message(Kind.BENCH_RESULT, sender, f"thing {name}", b"{}") for name, sender in senders.items()],
        AS_OF_UTC_MS, committed_entry,
    )  # fmt: skip
    refusals = {
        name: ledger.refuse(platform.database, Refused("x", sender, name, "r", "d", b"{"), AS_OF_UTC_MS, 100)
        for name, sender in senders.items()
    }
    with platform.database.transaction() as connection:
        places = {"own": (own, None), "other": (other, None), "here": (None, here), "there": (None, there)}
        rows = {
            name: connection.execute(
                "insert into alarm (cause, subject, operator_id, district, state, severity, opened_utc_ms, sent_utc_ms)"
                " values ('x', %s, %s, %s, 'sent', 'grave', 0, 0) returning alarm_id", (name, *place),
            ).fetchone()
            for name, place in places.items()
        }  # fmt: skip
    alarms = {name: row[0] for name, row in rows.items() if row}
    things = {
        "alarm": alarms,
        "message": {n: a.receipt.index for n, a in zip(senders, kept, strict=True)},
        "refusal": refusals,
    }
    with serving(platform) as served:
        platform.refresh()
        yield World(platform, served, tokens, things)


def test_every_route_is_declared() -> None:
    assert len(ROUTES) > 60
    assert authorisation.faults(ROUTES) == []
    invented = Route("outer", "/api/secrets/{name}", "GET", None)
    assert authorisation.faults([*ROUTES, invented])


def test_the_page_is_the_matrix() -> None:
    assert (ROOT / "docs" / "authorisation.md").read_text("utf-8") == authorisation.page(), "run `make docs`"


def test_each_cell_of_route_and_role(world: World) -> None:
    wrong = []
    for route in ROUTES:
        if route.right is None:
            continue
        for who in ("", *(name for name in world.tokens if " " not in name)):
            status = world.call(route, who).status_code
            here = bool(who) and Role(who) in SIDES[route.side]
            if not here:
                fits = status == 401
            elif route.right not in RIGHTS[Role(who)]:
                fits = status == 403
            else:
                fits = status not in (401, 403, 405) and status < 500
            if not fits:
                wrong.append((route.side, route.name, who, status))
    assert wrong == []


def test_what_is_open_is_open_and_a_door_lets_no_stranger_in(world: World) -> None:
    wrong = []
    deadline = time.monotonic() + 30
    while httpx.get(f"{world.served}/public/v1/connectors.csv").status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.1)  # the public is told of nothing until the register has been read once
    for route in ROUTES:
        if route.method in ("MOUNT", "WEBSOCKET") or route.right is not None:
            continue
        answer = world.call(route, "", version="2.2.1" if "/ocpi/" in route.path else "v1")
        if route.door is None:
            fits = (answer.status_code not in (401, 403, 405) and answer.status_code < 500) or "ready" in route.path
        elif route.path.startswith("/evcs/"):
            fits = answer.status_code == 200 and answer.json()["Ret"] != 0 and not answer.json()["Data"]
        else:
            fits = answer.status_code in DECLARED["door"][route.door]["stranger"] and b"receipt" not in answer.content
        if not fits:
            wrong.append((route.side, route.name, answer.status_code, answer.text[:80]))
    assert wrong == []


#: Who looks -> what of things is his, what is another's.
LOOKS = {
    "operator": ({"own"}, {"other", "bench"}),
    "engineer": ({"own"}, {"other", "bench"}),
    "manager": ({"own"}, {"other", "bench"}),
    "bench": ({"bench"}, {"own", "other", "foreign bench", "here"}),
    **{r.value: ({"own", "other", "bench", "here", "there"}, set[str]()) for r in REGULATOR},
    **{f"{r.value} here": ({"here"}, {"there", "bench", "foreign bench"}) for r in REGULATOR},
}


def test_another_s_id_is_answered_as_an_absent_one(world: World) -> None:
    wrong, seen = [], 0
    for route in ROUTES:
        declared = DECLARED["id"].get(route.name)
        if declared is None or "of" not in declared:
            continue
        name = re.findall(r"\{(\w+)", route.path)[0]
        for who, (own, others) in LOOKS.items():
            role = Role(who.partition(" ")[0])
            if role not in SIDES[route.side] or route.right not in RIGHTS[role]:
                continue
            absent = world.call(route, who)
            assert absent.status_code == 404
            for whose in sorted((own | others) & world.things[declared["of"]].keys()):
                thing = world.things[declared["of"]][whose]
                answer = world.call(route, who, **{name: thing})
                seen += 1
                # An answer may name the number that was asked for, and says no more with it.
                texts = [re.sub(rf"\b{n}\b", "N", a.text) for n, a in ((thing, answer), (ABSENT, absent))]
                same = answer.status_code == absent.status_code and texts[0] == texts[1]
                # A correction of what is one's own is read, and this one is refused.
                if same is (whose in own) or (whose in own and answer.status_code not in (200, 409, 422)):
                    wrong.append((route.side, route.name, who, whose, answer.status_code, answer.text[:80]))
    assert wrong == []
    assert seen > 60


def test_ids_that_are_tried_elsewhere_are_tried_there() -> None:
    for name, declared in DECLARED["id"].items():
        assert len(declared.keys() & {"of", "tested", "nobodys"}) == 1, name
        path, _, test = declared.get("tested", "").partition("::")
        assert not path or f"def {test}(" in (ROOT / path).read_text("utf-8"), name


def test_a_saved_filter_is_ones_own(world: World) -> None:
    base = world.served.regulator
    first, second = ({"authorization": f"Bearer {world.tokens[who]}"} for who in ("inspector", "supervisor"))
    body = {"name": "mine", "query": {"state": "open"}}
    assert httpx.put(f"{base}/api/alarms/filters", headers=first, json=body).status_code == 200
    answers = [httpx.delete(f"{base}/api/alarms/filters/{name}", headers=second) for name in ("mine", "absent")]
    assert {a.status_code for a in answers} == {404}
    assert answers[0].content == answers[1].content
    assert httpx.get(f"{base}/api/alarms/filters", headers=second).json() == []
    assert httpx.delete(f"{base}/api/alarms/filters/mine", headers=first).status_code == 204


def test_lists_hold_what_is_seen_and_nothing_else(world: World, city: LiveCity, tmp_path: Path) -> None:
    platform = world.platform
    messages.append(platform.database, city.messages, AS_OF_UTC_MS, committed_entry)
    judge = Judge(platform, tmp_path)
    judge.settle(AS_OF_UTC_MS)
    judge.close()
    mine, district = (
        platform.directory.parties["engineer-1"].operator_id,
        platform.directory.parties["inspector-2"].districts[0],
    )
    paths = {f"/api/{name}" for name in ("verdicts", "findings", "refused", "deviations", "declarations")}
    lists = [r for r in ROUTES if r.method == "GET" and r.path in paths]
    for route in lists:
        for who in world.tokens:
            role = Role(who.partition(" ")[0])
            if role not in SIDES[route.side] or route.right not in RIGHTS[role]:
                continue
            rows = world.call(route, who).json()
            if role in OF_OPERATOR:
                assert {r.get("operator_id", r.get("sender")) for r in rows} <= {mine}
            elif who.endswith(" here") and route.path in ("/api/verdicts", "/api/findings"):
                assert {r["district"] for r in rows} <= {district}
            elif who.endswith(" here") and route.path == "/api/refused":
                assert [r["message_id"] for r in rows] == ["here"]
    all_of = world.call(
        next(r for r in lists if r.side == "regulator" and r.path == "/api/verdicts"), "inspector"
    ).json()
    assert len({r["operator_id"] for r in all_of}) > 1
    assert len({r["district"] for r in all_of}) > 1


def test_tokens_that_hold_no_more(world: World) -> None:
    platform, now = world.platform, now_utc_ms()
    cases: dict[str, tuple[int, int | None, int | None, int]] = {
        "valid": (0, None, None, 200), "to come": (now + 60_000, None, None, 401),
        "expired": (0, now - 1, None, 401), "revoked": (0, None, now - 1, 401),
        "to be revoked": (0, None, now + 600_000, 200),
    }  # fmt: skip
    for side, party in (("outer", "operator"), ("regulator", "inspector")):
        route = next(r for r in ROUTES if r.side == side and r.path == "/api/verdicts")
        found = world.party_of(party)
        for name, (starts, ends, revoked, status) in cases.items():
            token = f"{side} {name} " + "t" * 32
            lookup = parties.token_lookup(token)
            one = Credential(f"bearer/{side}/{name}", found.party_id, "bearer", lookup, {}, None, starts, ends, revoked)
            parties.put_credentials(platform.database, [one], platform.vault.seal)
            platform.refresh()
            world.tokens[name] = token
            for _ in range(2):  # used again it is what it was
                assert world.call(route, name).status_code == status, (side, name)


def test_a_party_suspended_in_mid_session_is_heard_no_more(world: World) -> None:
    platform = world.platform
    for side, who in (("outer", "engineer"), ("regulator", "inspector")):
        base = str(world.served) if side == "outer" else world.served.regulator
        held = {"authorization": f"Bearer {world.tokens[who]}"}
        with httpx.Client(base_url=base, headers=held) as kept:
            assert kept.get("/api/verdicts").status_code == 200
            party = platform.directory.parties[f"{who}-1"]
            for suspended, status in ((True, 401), (False, 200)):
                changed = dataclasses.replace(party, suspended=suspended)
                parties.put_parties(platform.database, [changed], now_utc_ms())
                platform.refresh()
                assert kept.get("/api/verdicts").status_code == status
            # Who becomes of another role, or of fewer districts, is so with his next request.
            parties.revoke_credential(platform.database, f"bearer/{parties.token_lookup(world.tokens[who])[:24]}", 0)
            platform.refresh()
            assert kept.get("/api/verdicts").status_code == 401


def test_what_is_too_large_is_refused_on_both_sides(world: World) -> None:
    limit = world.platform.settings.max_body_bytes
    for base, who in ((str(world.served), "operator"), (world.served.regulator, "inspector")):
        raw = http.client.HTTPConnection(base.removeprefix("http://"), timeout=30)
        raw.putrequest("POST", "/seal/v1/events")
        raw.putheader("Authorization", f"Bearer {world.tokens[who]}")
        raw.putheader("Content-Length", str(limit + 1))
        raw.endheaders()
        assert raw.getresponse().status == 413
        raw.close()


def test_roles_of_the_sides_are_all_roles() -> None:
    assert set(Role) == OUTSIDE | REGULATOR
    assert not OUTSIDE & REGULATOR
