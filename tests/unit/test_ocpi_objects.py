"""OCPI objects: their state from pushes in any order, and what locations and tariffs declare."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anxin.domain.connector_status import State
from anxin.domain.errors import FormatError
from anxin.domain.register import Connector, Register, Tariff
from anxin.formats import ocpi_locations, ocpi_objects, ocpi_tariffs, ocpi_tree
from anxin.formats.json_document import loads
from anxin.formats.ocpi_tree import Node

BEGIN = datetime(2026, 10, 1, tzinfo=UTC)


def stamp(minute: int) -> str:
    return (BEGIN + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")


def plug(minute: int, power: int = 60_000) -> dict[str, Any]:
    return {"id": "1", "max_electric_power": power, "power_type": "DC", "last_updated": stamp(minute)}


def evse(uid: str, minute: int, status: str = "AVAILABLE", plugs: int = 0) -> dict[str, Any]:
    connectors = [plug(plugs)] if plugs else []
    return {"uid": uid, "status": status, "connectors": connectors, "last_updated": stamp(minute)}


def location(minute: int, *evses: dict[str, Any], name: str = "") -> dict[str, Any]:
    where = {"longitude": "114.0579", "latitude": "22.5431"}
    head = {"country_code": "CN", "party_id": "ABC", "id": "L", "name": name or f"at {minute}", "coordinates": where}
    return head | {"evses": list(evses), "last_updated": stamp(minute)}


# A sender's own history: each step changes one thing at a later minute, and is pushed as what it is.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("location"), st.sampled_from("ab")),
        st.tuples(st.just("evse"), st.sampled_from(["E1", "E2", "E3"])),
        st.tuples(st.just("connector"), st.sampled_from(["E1", "E2", "E3"])),
        st.tuples(st.just("gone"), st.sampled_from(["E1", "E2", "E3"])),
    ),
    min_size=1,
    max_size=7,
)


def pushes_of(steps: list[tuple[str, str]]) -> tuple[list[tuple[list[str], dict[str, Any]]], dict[str, Any]]:
    """What a sender pushes by PUT (path, body) after his first location, and his object in the end."""
    mine = location(1, evse("E1", 1, plugs=1))
    pushes: list[tuple[list[str], dict[str, Any]]] = []
    for minute, (what, which) in enumerate(steps, 2):
        known = {e["uid"]: e for e in mine["evses"]}
        if what == "location":
            mine = mine | {"name": f"{which} at {minute}", "last_updated": stamp(minute)}
            pushes.append(([], mine))
        elif what == "gone":
            mine = location(minute, *(e for uid, e in known.items() if uid != which))
            pushes.append(([], mine))
        elif what == "evse":
            made = known.get(which, evse(which, minute)) | {"status": f"S{minute}", "last_updated": stamp(minute)}
            mine = mine | {"evses": list((known | {which: made}).values()), "last_updated": stamp(minute)}
            pushes.append(([which], made))
        elif which in known:
            new = plug(minute, minute * 1_000)
            made = known[which] | {"connectors": [new], "last_updated": stamp(minute)}
            mine = mine | {"evses": list((known | {which: made}).values()), "last_updated": stamp(minute)}
            pushes.append(([which, "1"], new))
    return json.loads(json.dumps(pushes)), mine


def sorted_parts(document: dict[str, Any]) -> dict[str, Any]:
    return document | {"evses": sorted(document.get("evses", []), key=lambda e: str(e["uid"]))}


@given(STEPS, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_puts_end_in_the_sender_s_object_and_in_one_state_whatever_their_order(
    steps: list[tuple[str, str]], random: Any
) -> None:
    pushes, mine = pushes_of(steps)
    first, _ = ocpi_tree.put(None, "location", [], location(1, evse("E1", 1, plugs=1)), 0)
    state = first
    for index, (path, body) in enumerate(pushes, 1):
        state, changed = ocpi_tree.put(state, "location", path, body, index)
        assert changed
        state, changed = ocpi_tree.put(state, "location", path, body, index)
        assert not changed
    assert sorted_parts(state.document()) == sorted_parts(mine)
    # Connectors need their EVSE: only pushes of locations and EVSEs can come in any order.
    loose = [(i, path, body) for i, (path, body) in enumerate(pushes, 1) if len(path) < 2]
    expected = _applied(first, loose)
    mixed = loose * 2
    random.shuffle(mixed)
    assert sorted_parts(_applied(first, mixed).document()) == sorted_parts(expected.document())


def _applied(state: Node, pushes: list[tuple[int, list[str], dict[str, Any]]]) -> Node:
    for index, path, body in pushes:
        state, _ = ocpi_tree.put(state, "location", path, body, index)
    return ocpi_tree.load(json.loads(json.dumps(ocpi_tree.dump(state))))


@given(st.permutations([(1, {"kwh": 1}), (2, {"kwh": 2, "status": "COMPLETED"}), (3, {"total_cost": {"excl_vat": 3}})]))
def test_patches_in_any_order_leave_no_field_older_than_the_newest_that_came(
    order: list[tuple[int, dict[str, Any]]],
) -> None:
    session = {"id": "S", "kwh": 0, "status": "ACTIVE", "last_updated": stamp(0)}
    state, _ = ocpi_tree.put(None, "session", [], session, 0)
    expected: dict[str, Any] = dict(session)
    newest = 0
    for index, (minute, fields) in enumerate(order, 1):
        patch = fields | {"last_updated": stamp(minute)}
        for _ in range(2):
            state, changed = ocpi_tree.patch(state, [], patch, index)
        if minute > newest:
            expected, newest = expected | patch, minute
        assert not changed
        assert state.document() == expected


def test_a_patch_adds_periods_and_parts_and_removes_none() -> None:
    state, _ = ocpi_tree.put(None, "location", [], location(1, evse("E1", 1), evse("E2", 1)), 1)
    patch = {"evses": [evse("e2", 3, "CHARGING"), evse("E3", 3)], "last_updated": stamp(3)}
    state, _ = ocpi_tree.patch(state, [], patch, 2)
    found = state.document()
    assert [(e["uid"], e["status"]) for e in found["evses"]] == [
        ("E1", "AVAILABLE"), ("e2", "CHARGING"), ("E3", "AVAILABLE"),
    ]  # fmt: skip
    assert found["name"] == "at 1"
    session, _ = ocpi_tree.put(None, "session", [], {"id": "S", "last_updated": stamp(0)}, 1)
    for minute in (1, 2, 1):
        patch = {"charging_periods": [{"n": minute}], "last_updated": stamp(minute)}
        session, _ = ocpi_tree.patch(session, [], patch, minute)
    assert session.document()["charging_periods"] == [{"n": 1}, {"n": 2}]
    full = {"charging_periods": [{}] * 9_999, "last_updated": stamp(5)}
    with pytest.raises(FormatError, match="10000"):
        ocpi_tree.patch(session, [], full, 5)
    for path in (["E9"], ["E1", "9"]):
        with pytest.raises(FormatError) as caught:
            ocpi_tree.patch(state, path, {"last_updated": stamp(9)}, 9)
        assert caught.value.rule == "ocpi.unknown"


def register(*entries: Any) -> ocpi_locations.Lookup:
    def found(candidates: list[str]) -> Any:
        ids = {getattr(e, "connector_id", None) or e.station_id: e for e in entries}
        return next((ids[c] for c in candidates if c in ids), None)

    return found


@pytest.mark.parametrize(
    ("given_", "watts"),
    [
        ({"power_type": "DC", "max_voltage": 750, "max_amperage": 250}, 187_500),
        ({"power_type": "DC", "max_voltage": 750, "max_amperage": 250, "max_electric_power": 120_000}, 120_000),
        ({"power_type": "AC_1_PHASE", "max_voltage": 220, "max_amperage": 32}, 7_040),
        ({"power_type": "AC_3_PHASE", "max_voltage": 220, "max_amperage": 63}, 41_580),
        ({"power_type": "AC_2_PHASE_SPLIT", "max_voltage": 120, "max_amperage": 40}, 9_600),
        ({"power_type": "AC_9_PHASE", "max_voltage": 220, "max_amperage": 63}, None),
        ({}, None),
    ],
)
def test_the_power_of_a_connector(given_: dict[str, Any], watts: int | None) -> None:
    connector = given_ | {"id": "1", "last_updated": stamp(0)}
    site = location(0, evse("E1", 0) | {"connectors": [connector]})
    found = ocpi_locations.declared("CN*ABC", "op", site, register(), register()).connectors
    assert [c.rated_power_w for c in found] == ([] if watts is None else [watts])
    assert [c.current_type for c in found] == (
        [] if watts is None else ["DC" if given_["power_type"] == "DC" else "AC"]
    )


@pytest.mark.parametrize("name", ["CN*ABC*E1/1", "E1/1", "CN*ABC*E1", "E1"])
def test_a_connector_is_found_in_the_register_by_its_most_precise_form(name: str) -> None:
    known = Connector(name, "charger", "station", "op", 60_000, "DC")
    one = evse("E1", 0, "BLOCKED", plugs=1) | {"evse_id": "CN*ABC*E1"}
    reports, _ = ocpi_locations.statuses("CN*ABC", one, register(known))
    assert [(r.connector_id, r.state) for r in reports] == [(name, State.BLOCKED)]
    reports, _ = ocpi_locations.statuses("CN*ABC", one, register())
    assert [r.connector_id for r in reports] == ["CN*ABC:CN*ABC*E1/1"]
    _, deviations = ocpi_locations.statuses("CN*ABC", one | {"status": "SINGING"}, register())
    assert [d.kind for d in deviations] == ["ocpi.evse_status"]


def tariff(*elements: dict[str, Any], **of: Any) -> dict[str, Any]:
    return {"id": "T", "currency": "CNY", "elements": list(elements), "last_updated": stamp(0)} | of


def energy(price: Any, *, vat: Any = None, step: int = 1, **restrictions: Any) -> dict[str, Any]:
    component = {"type": "ENERGY", "price": price, "step_size": step} | ({} if vat is None else {"vat": vat})
    return {"price_components": [component]} | ({"restrictions": restrictions} if restrictions else {})


def declared(value: dict[str, Any], zone: str = "Asia/Shanghai") -> tuple[list[tuple[int, int, int]], list[str]]:
    exact: Any = loads(json.dumps(value).encode())
    found, deviations = ocpi_tariffs.declared("op", exact, zone)
    return [(p.minute_from, p.minute_to, p.energy_price_e4) for p in found.tariff_periods], [d.kind for d in deviations]


def test_a_tariff_by_the_hour_becomes_spans_and_the_first_element_that_fits_counts() -> None:
    peak, night = energy(1.5, start_time="08:00", end_time="22:00"), energy(0.4, start_time="22:00", end_time="06:00")
    spans, deviations = declared(tariff(peak, night, energy(0.8)))
    assert spans == [(0, 360, 4_000), (360, 480, 8_000), (480, 1_320, 15_000), (1_320, 1_440, 4_000)]
    assert deviations == ["ocpi.tariff_zone"]
    assert declared(tariff(energy(0.8), peak)) == ([(0, 1_440, 8_000)], [])
    assert declared(tariff(peak))[0] == [(0, 480, 0), (480, 1_320, 15_000), (1_320, 1_440, 0)]
    assert declared(tariff(energy(0.25, vat=10)))[0] == [(0, 1_440, 2_750)]
    assert declared(tariff(energy(0.25, vat=10), tax_included="YES"))[0] == [(0, 1_440, 2_500)]
    found, _ = ocpi_tariffs.declared("op", tariff(energy(1), start_date_time=stamp(5)), "Asia/Shanghai", 1)
    begin = 1_790_812_800_000 + 5 * 60_000
    assert found.tariffs == (Tariff(f"T@{stamp(0)}", "op", "CNY", begin, begin, "Asia/Shanghai", 480),)


@pytest.mark.parametrize(
    "value",
    [
        tariff({"price_components": [{"type": "FLAT", "price": 1, "step_size": 1}]}),
        tariff({"price_components": [{"type": "PARKING_TIME", "price": 0, "step_size": 1}]}),
        tariff(energy(1, step=500)),
        tariff(energy(0.12345)),
        tariff(energy(0.3333, vat=7)),
        tariff(energy(-1)),
        tariff(energy(1234567890.123456)),
        tariff(energy(1, day_of_week=["MONDAY"])),
        tariff(energy(1, max_power=3)),
        tariff(energy(1, start_time="8:00")),
        tariff(energy(1), min_price={"excl_vat": 1}),
        tariff(energy(1), type="PROFILE_CHEAP"),
    ],
)
def test_a_tariff_that_says_more_is_not_made_to_fit(value: dict[str, Any]) -> None:
    assert declared(value) == ([], ["ocpi.tariff_not_expressed"])


def test_hours_in_a_zone_that_changes_its_clocks_are_not_guessed() -> None:
    by_hour = tariff(energy(1, start_time="08:00", end_time="20:00"), energy(2))
    assert declared(by_hour, "Europe/Berlin") == ([], ["ocpi.tariff_not_expressed"])
    assert declared(tariff(energy(1)), "Europe/Berlin") == ([(0, 1_440, 10_000)], [])


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=6)
)
VALUES = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(st.text(max_size=4), LEAVES, max_size=2)
NAMES = ["id", "uid", "status", "coordinates", "evses", "connectors", "last_updated", "elements", "kwh", "currency"]


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_any_value_in_any_field_is_read_or_refused_by_a_rule(changes: dict[str, Any], which: int) -> None:
    base = [
        location(0, evse("E1", 0, plugs=1)),
        evse("E1", 0, plugs=1),
        plug(0),
        {"id": "S", "status": "ACTIVE", "kwh": 1, "start_date_time": stamp(0), "last_updated": stamp(0)},
        tariff(energy(1)),
        location(0) | {"evses": [evse("E1", 0, plugs=1) | changes]},
    ][which]
    checks = [
        ocpi_objects.check_location,
        ocpi_objects.check_evse,
        ocpi_objects.check_connector,
        ocpi_objects.check_session,
        ocpi_objects.check_tariff,
        ocpi_objects.check_location,
    ]
    level = ["location", "evse", "connector", "session", "tariff", "location"][which]
    try:
        value = ocpi_objects.read_object(json.dumps(base | changes).encode())
        checks[which](value)
    except FormatError:
        return
    # What was checked can be kept, read again, and decoded without any other exception.
    node = ocpi_tree.node_of(level, value, 1)
    assert ocpi_tree.load(ocpi_tree.dump(node)) == node
    try:
        if level == "location":
            ocpi_locations.declared("CN*ABC", "op", value, register(), register())
        elif level == "evse":
            ocpi_locations.statuses("CN*ABC", value, register())
        elif level == "tariff":
            assert isinstance(ocpi_tariffs.declared("op", value, "Asia/Shanghai")[0], Register)
    except FormatError:
        assert level == "tariff"


def test_the_limits_hold_at_the_limit_and_not_beyond() -> None:
    ocpi_objects.check_location(location(0, *(evse(f"E{n}", 0) for n in range(2_000))))
    with pytest.raises(FormatError, match=r"more than 2000"):
        ocpi_objects.check_location(location(0, *(evse(f"E{n}", 0) for n in range(2_001))))
    state, _ = ocpi_tree.put(None, "location", [], location(0, *(evse(f"E{n}", 0) for n in range(2_000))), 1)
    with pytest.raises(FormatError, match=r"more than 2000"):
        ocpi_tree.put(state, "location", ["E2000"], evse("E2000", 1), 2)
