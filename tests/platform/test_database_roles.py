"""What the faces' database roles can do and see, tried on real connections, by raw SQL."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import pytest

from anxin.assembly import open_face
from anxin.cli.main import main
from anxin.domain.errors import InputError, StoreError
from anxin.domain.message import Kind, Message, Refused
from anxin.domain.party import Credential, Party, Role, Sight
from anxin.flow import enrol, face_roles, live_reading
from anxin.flow.face_roles import FaceUrls, prepare_roles
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge
from anxin.flow.platform import Platform
from anxin.settings import Settings
from anxin.store import ledger, messages, ocpi_objects, order_lookup, parties, pulls, roles, totals
from anxin.store.database import Database
from tests.platform.live_city import AS_OF_UTC_MS, LiveCity, enrolled


@pytest.fixture
def city(platform: Platform) -> LiveCity:
    return enrolled(platform, chargers=6, days=1, cheats=0)


@pytest.fixture
def faces(platform: Platform, city: LiveCity) -> FaceUrls:
    enrol.new_token(platform.database, platform.vault, Party("inspector-1", Role.INSPECTOR, "检查员"))
    own = next(p.party_id for p in platform.directory.parties.values() if p.role is Role.OPERATOR)
    parties.put_parties(platform.database, [Party("engineer-1", Role.ENGINEER, "工程师", own)], 0)
    return prepare_roles(platform.database, platform.settings)


@pytest.fixture
def judged(platform: Platform, city: LiveCity, faces: FaceUrls, tmp_path: Path) -> Iterator[Platform]:
    """All of the city's messages kept and judged."""
    messages.append(platform.database, city.messages, AS_OF_UTC_MS, committed_entry)
    judge = Judge(platform, tmp_path)
    judge.settle(AS_OF_UTC_MS)
    yield platform
    judge.close()


@contextmanager
def connected(url: str, tenant: str | None = None) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url) as connection:
        if tenant is not None:
            connection.execute("select set_config('anxin.tenant', %s, true)", (tenant,))
        yield connection
        connection.rollback()


def denied(url: str, statement: str, tenant: str | None = None) -> bool:
    """Whether the server refuses a statement for want of rights, and for no other reason."""
    with connected(url, tenant) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return True
    return False


def test_every_table_has_its_line(platform: Platform) -> None:
    text = resources.files("anxin.store").joinpath("rights.sql").read_text("utf-8")
    code = re.sub(r"^--(?! nobody:).*$", "", text, flags=re.MULTILINE)
    told = set(re.findall(r"\w+", code))
    with platform.database.transaction() as connection:
        rows = connection.execute("select relname from pg_class where relnamespace = 'public'::regnamespace"
                                  " and relkind in ('r', 'v', 'm', 'p', 'f')").fetchall()  # fmt: skip
    assert {r[0] for r in rows} - told == set(), "store/rights.sql lacks a line"


#: Statements that the outer role must not be able to do, whoever it says its tenant is.
FORBIDDEN_OUTSIDE = (
    "select payload from message", "select envelope from message", "select * from message",
    "update message set payload = null", "delete from message", "truncate message",
    "delete from log_head", "insert into log_head (size) values (9)",
    "insert into verdict (session_key, state, findings, policy, software, as_of_utc_ms, judged_utc_ms, digest)"
    " values ('x', 'agree', 0, '', '', 0, 0, '')",
    "update verdict set state = 'agree'", "delete from verdict", "update finding set present = false",
    "delete from finding", "insert into party (party_id, role, name, created_utc_ms) values ('x', 'inspector', 'x', 0)",
    "update party set role = 'admin'", "update party set operator_id = 'another'", "delete from party",
    "insert into party (party_id, role, name, operator_id, created_utc_ms) values ('x', 'engineer', 'x', 'other', 0)",
    "select * from surveillance_subject", "insert into alarm_finding default values", "delete from alarm",
    "insert into session values (decode(repeat('00', 32), 'hex'), 'inspector-1', 'regulator', true, 0, 0)",
    "update credential set party_id = 'inspector-1'", "update credential set sealed = ''", "delete from credential",
    "insert into credential (credential_id, party_id, kind, lookup, valid_from_utc_ms)"
    " values ('x', 'inspector-1', 'bearer', 'x', 0)",
    "insert into credential (credential_id, party_id, kind, lookup, valid_from_utc_ms)"
    " values ('x', 'inspector-1', 'ocpi', 'x', 0)",
    "insert into register_entry (kind, entry_id, body) values ('key', 'x', '{}')", "delete from register_entry",
    "update register_entry set body = '{}'", "update deviation set detail = ''", "delete from declaration",
    "delete from event", "update event set operator_id = null",
    "update pull set failures = 0", "select * from touched", "delete from touched", "select * from complaint",
    "select * from requeued", "insert into requeued values (0)", "select * from erased_transaction",
    "select * from fact_record", "select user_ref from fact_record", "select * from fact_order",
    "select * from fact_order_period", "select * from fact_operator_total", "select * from fact_signed_record",
    "select * from fact_record_period", "select * from fact_record_finding", "delete from fact_verification",
    "insert into migration (name) values ('9999.sql')", "delete from door_rejection", "delete from total",
    "update refused set payload = ''", "create table mine (n int)", "create function f() returns int language sql"
    " as 'select 1'", "alter table verdict disable row level security", "drop policy outer_own on verdict",
    "create role another", "set role postgres", "select pg_read_file('PG_VERSION')", "copy message to '/dev/null'",
)  # fmt: skip
FORBIDDEN_INSIDE = (
    "update message set payload = null", "delete from message", "update verdict set state = 'agree'",
    "delete from verdict", "delete from finding", "update party set role = 'operator'", "delete from credential",
    "insert into party (party_id, role, name, created_utc_ms) values ('x', 'operator', 'x', 0)", "delete from alarm",
    "insert into credential (credential_id, party_id, kind, valid_from_utc_ms)"
    " values ('x', 'inspector-1', 'tcec102', 0)", "update credential set sealed = ''",
    "insert into register_entry (kind, entry_id, body) values ('key', 'x', '{}')",
    "update refused set corrected_by = 0",
    "delete from event", "update pull set failures = 0", "select * from requeued", "select * from erased_transaction",
    "select * from ocpi_object", "delete from fact_order", "create table mine (n int)", "set role postgres",
    "insert into migration (name) values ('9999.sql')", "select * from touched",
)  # fmt: skip


@pytest.mark.parametrize("side", ["outer", "regulator"])
def test_what_is_forbidden_is_refused_by_the_server(side: str, platform: Platform, faces: FaceUrls) -> None:
    url = getattr(faces, side)
    tenant = next(p.party_id for p in platform.directory.parties.values() if p.role is Role.OPERATOR)
    statements = FORBIDDEN_OUTSIDE if side == "outer" else FORBIDDEN_INSIDE
    assert [s for s in statements if not denied(url, s, tenant)] == []


def test_a_tenant_sees_his_own_and_without_one_nothing_is_seen(
    judged: Platform, faces: FaceUrls, city: LiveCity
) -> None:
    with judged.database.transaction() as connection:
        owners = [r[0] for r in connection.execute("select distinct operator_id from verdict order by 1")]
        counts = {
            owner: [
                connection.execute(f"select count(*) from {t} where {c} = %s".encode(), (owner,)).fetchone()
                for t, c in (("verdict", "operator_id"), ("declaration", "operator_id"), ("fact_order", "operator_id"))
            ]
            for owner in owners
        }
    assert len(owners) >= 2
    tables = ("verdict", "declaration", "fact_order")
    count = "select count(operator_id), count(distinct operator_id), min(operator_id) from {}"
    for owner in owners:
        with connected(faces.outer, owner) as connection:
            for table, told in zip(tables, counts[owner], strict=True):
                row = connection.execute(count.format(table).encode()).fetchone()
                assert told is not None
                assert row == (told[0], min(told[0], 1), owner if told[0] else None)
    for tenant in (None, "", "nobody", "%", "' or true --"):
        with connected(faces.outer, tenant) as connection:
            for table in (*tables, "finding", "pull", "ocpi_object", "alarm", "alarm_step", "alarm_finding"):
                assert connection.execute(f"select count(*) from {table}".encode()).fetchone() == (0,)
            for table in ("refused", "deviation"):
                assert connection.execute(f"select count(*) from {table}".encode()).fetchone() == (0,)
    # A connection of the pool does not keep the tenant of the transaction before.
    with psycopg.connect(faces.outer) as connection:
        with connection.transaction():
            connection.execute("select set_config('anxin.tenant', %s, true)", (owners[0],))
            assert (connection.execute("select count(*) from verdict").fetchone() or (0,))[0] > 0
        assert connection.execute("select count(*) from verdict").fetchone() == (0,)


def test_a_payload_is_read_again_by_its_sender_alone(judged: Platform, faces: FaceUrls, city: LiveCity) -> None:
    order = next(m for m in city.messages if m.kind is Kind.TCEC_ORDER)
    other = next(m.sender for m in city.messages if m.kind is Kind.TCEC_ORDER and m.sender != order.sender)
    index = next(i for i, m, _ in messages.stored(judged.database, range(len(city.messages))) if m == order)
    for tenant, found in ((order.sender, order.payload), (other, None), (None, None)):
        with connected(faces.outer, tenant) as connection:
            row = connection.execute("select own_payload(%s)", (index,)).fetchone()
            assert row is not None
            assert (None if row[0] is None else bytes(row[0])) == found
    assert denied(faces.regulator, f"select own_payload({index})")
    with Database(faces.outer, 2) as outer:
        assert order_lookup.judged_orders(outer, order.sender, [order.message_id]).keys() == {order.message_id}
        assert order_lookup.judged_orders(outer, other, [order.message_id]) == {}
        # The status page counts all, and silent operators of whom the role sees none.
        assert totals.totals(outer) == totals.totals(judged.database)
        pulls.note_failure(judged.database, order.sender, "status", 0, 0, 0, "away")
        assert pulls.silent(outer) == {"status": 1}
        assert pulls.pulls(outer, other) == []
        assert [row["last_error"] for row in pulls.pulls(outer, order.sender)] == ["away"]


def test_each_side_knows_its_own_parties_and_credentials(platform: Platform, faces: FaceUrls) -> None:
    outer, inner = (open_face(platform.settings, url) for url in (faces.outer, faces.regulator))
    try:
        assert "inspector-1" not in outer.directory.parties
        assert not [c for c in outer.directory.by_lookup.values() if c.party_id == "inspector-1"]
        assert outer.directory.content_keys
        assert outer.directory.tcec == platform.directory.tcec
        assert "inspector-1" in inner.directory.parties
        assert [c.party_id for c in inner.directory.by_lookup.values()] == ["inspector-1"]
        assert (inner.directory.content_keys, inner.directory.tcec) == ({}, {})
        assert inner.directory.register == outer.directory.register == platform.directory.register
    finally:
        outer.database.close()
        inner.database.close()


def test_the_ledger_of_one_is_not_anothers(platform: Platform, faces: FaceUrls, city: LiveCity) -> None:
    meter = next(m.sender for m in city.messages if m.kind is Kind.METER_ENVELOPE)
    places = [m.connector_id for m in platform.directory.register.meters if m.meter_id == meter]
    owner = platform.directory.operator_of_connector(places[0])
    other = next(p.party_id for p in platform.directory.parties.values()
                 if p.role is Role.OPERATOR and p.party_id != owner)  # fmt: skip
    with Database(faces.outer, 2) as outer:
        numbers = {
            sender: ledger.refuse(outer, Refused("x", sender, "1", "r", "d", b"secret"), 0, 2)
            for sender in (meter, str(owner), other)
        }
        seen = {t: [n for n in numbers.values() if ledger.entry(outer, n, t)] for t in (str(owner), other, None)}
        assert seen == {str(owner): [numbers[meter], numbers[str(owner)]], other: [numbers[other]], None: []}
        for n in range(4):  # the oldest of a sender go, and of nobody else
            ledger.refuse(outer, Refused("x", other, f"more {n}", "r", "d", b""), 0, 2)
    with connected(platform.database.url) as connection:
        rows = connection.execute("select sender, count(*) from refused group by 1").fetchall()
    assert dict(rows) == {meter: 1, owner: 1, other: 2}
    assert denied(faces.outer, f"insert into refused (at_utc_ms, door, sender, rule, detail, payload)"
                               f" values (0, 'x', '{owner}', 'r', 'd', '')", other)  # fmt: skip


def test_the_outer_role_keeps_messages_and_gives_the_first_receipt_again(platform: Platform, faces: FaceUrls) -> None:
    message = Message(Kind.TCEC_STATUS, "someone", "1", b"{}")
    with Database(faces.outer, 2) as outer:
        (first,) = messages.append(outer, [message], 1, committed_entry)
        (again,) = messages.append(outer, [message], 2, committed_entry)
        assert again.receipt == first.receipt
        assert again.repeated
        # Its own numbers alone: what the judge has done is not its to say.
        with outer.transaction() as connection:
            assert connection.execute("update counter set value = 0 where name = 'judged'").rowcount == 0
            assert connection.execute("update counter set value = value where name = 'party_version'").rowcount == 1


def test_the_outer_role_shakes_hands_over_ocpi_and_keeps_what_is_pushed(platform: Platform, faces: FaceUrls) -> None:
    owner, other = [p for p in platform.directory.parties.values() if p.role is Role.OPERATOR][:2]
    token = Credential("ocpi/c/1", owner.party_id, "ocpi", "a" * 64, {"state": "registered"}, b"theirs", 0)
    with Database(faces.outer, 2) as outer:
        parties.put_credentials(outer, [token], platform.vault.seal)
        parties.put_credentials(outer, [dataclasses.replace(token, revoked_utc_ms=5)], platform.vault.seal)
        platform.refresh()
        assert platform.directory.by_lookup["ocpi", "a" * 64].revoked_utc_ms == 5
        for kind, party in (("bearer", owner.party_id), ("ocpi", "inspector-1")):
            odd = dataclasses.replace(token, credential_id="odd", party_id=party, kind=kind, lookup="b" * 64)
            with pytest.raises(StoreError):
                parties.put_credentials(outer, [odd], platform.vault.seal)
        (kept_message,) = messages.append(
            outer, [Message(Kind.OCPI_CDR, owner.party_id, "1", b"{}")], 1, committed_entry
        )
        key = ocpi_objects.ObjectKey(owner.party_id, "tariffs", "CN", "ABC", "1")
        assert ocpi_objects.change(outer, key, kept_message.receipt.index, lambda _: "{}")
        assert ocpi_objects.state(outer, key) == "{}"
        assert ocpi_objects.state(outer, dataclasses.replace(key, operator_id=other.party_id)) is None
        assert ocpi_objects.first_cdr(outer, owner.party_id, "1") == b"{}"


def test_rights_are_given_anew_and_what_was_added_goes(platform: Platform, faces: FaceUrls) -> None:
    outer, _ = roles.role_names(platform.database)
    with connected(platform.database.url) as connection:
        connection.execute(f"grant select on requeued to {outer}".encode())
        connection.execute(f"grant select (payload) on message to {outer}".encode())
        connection.commit()
    assert not denied(faces.outer, "select payload from message")
    assert prepare_roles(platform.database, platform.settings) == faces
    assert denied(faces.outer, "select payload from message")
    assert denied(faces.outer, "select * from requeued")


def test_passwords_are_kept_for_their_owner_alone(platform: Platform, faces: FaceUrls) -> None:
    path = platform.settings.data_dir / "secrets" / "database-roles.json"
    assert path.stat().st_mode & 0o777 == 0o600
    kept = json.loads(path.read_text("utf-8"))
    assert kept.keys() == set(roles.role_names(platform.database))
    assert all(len(p) >= 40 for p in kept.values())


def test_roles_that_the_settings_name_are_taken(platform: Platform, faces: FaceUrls) -> None:
    named = Settings(data_dir=platform.settings.data_dir, outer_database_url=faces.outer,
                     regulator_database_url=faces.regulator)  # fmt: skip
    assert prepare_roles(platform.database, named) == faces
    for wrong in (("", faces.regulator), (faces.outer, ""), (faces.outer, faces.outer), ("postgresql://h/x", "y")):
        odd = Settings(outer_database_url=wrong[0], regulator_database_url=wrong[1])
        with pytest.raises(InputError):
            face_roles.named_roles(odd)
    # An owner without the right to make roles says what is to be done.
    with Database(faces.outer, 1) as weak, pytest.raises(InputError, match="database-roles"):
        prepare_roles(weak, platform.settings)


def test_the_statements_by_command_are_what_a_start_applies(
    platform: Platform, faces: FaceUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANXIN_DATABASE_URL", platform.database.url)
    words = ["admin", "database-roles", "--data", str(platform.settings.data_dir)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert roles.rights_text(*roles.role_names(platform.database)) in printed
    with connected(platform.database.url) as connection:
        connection.execute(printed.encode())
    with connected(platform.database.url) as connection:
        connection.execute(f"revoke all on log_head from {roles.role_names(platform.database)[0]}".encode())
        connection.commit()
    assert denied(faces.outer, "select * from log_head")
    assert main([*words, "--apply"]) == 0
    assert not denied(faces.outer, "select * from log_head")


def test_a_face_does_not_work_on_a_database_of_another_version(platform: Platform, faces: FaceUrls) -> None:
    with platform.database.transaction() as connection:
        connection.execute("insert into migration (name) values ('9999_later.sql')")
    with pytest.raises(StoreError, match="another version"):
        open_face(platform.settings, faces.outer)


def test_a_district_is_entered_with_the_verdict_and_follows_the_register(judged: Platform) -> None:
    directory = judged.directory
    rows = live_reading.verdicts(judged, Sight(), None, None, 500)
    assert {r["district"] for r in rows} == {directory.district_of_connector(r["place"]) for r in rows}
    district = next(d for d in {r["district"] for r in rows} if d)
    inside = live_reading.verdicts(judged, Sight(None, (district,)), None, None, 500)
    assert [r["verdict_id"] for r in inside] == [r["verdict_id"] for r in rows if r["district"] == district]
    assert live_reading.verdicts(judged, Sight(None, ("无此区",)), None, None, 500) == []
    with judged.database.transaction() as connection:
        connection.execute(
            "update register_entry set body = jsonb_set(body, '{district}', '\"新区\"')"
            " where kind = 'station' and body ->> 'district' = %s", (district,),
        )  # fmt: skip
        parties.register_changed(connection)
    moved = live_reading.verdicts(judged, Sight(None, ("新区",)), None, None, 500)
    assert [r["verdict_id"] for r in moved] == [r["verdict_id"] for r in inside]
    with judged.database.transaction() as connection:
        judged.refresh()
        found = dict(connection.execute("select place, district from finding where present").fetchall())
    assert all(d == judged.directory.district_of_connector(p) for p, d in found.items())
