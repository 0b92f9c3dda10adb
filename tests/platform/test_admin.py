"""Administration on the machine: beside the running platform, or without it."""

from __future__ import annotations

import base64
import dataclasses
import json
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from anxin.city.build import build
from anxin.city.meters import make_secret
from anxin.city.options import CityOptions
from anxin.cli.admin import moment
from anxin.cli.main import main
from anxin.domain.errors import InputError
from anxin.domain.message import Kind
from anxin.domain.party import Party, Role
from anxin.domain.register import Register
from anxin.flow import administration
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge
from anxin.flow.make_city import content_key
from anxin.flow.ocpi_parties import caller_of
from anxin.flow.ocpp_admission import admit
from anxin.flow.ocpp_messages import Places
from anxin.flow.platform import Platform, load_directory
from anxin.flow.rekey import master_key_file, rekey, rekey_steps
from anxin.formats.register import dump_keys, dump_register
from anxin.settings import Settings
from anxin.store import facts, messages, parties
from anxin.store.embedded import EmbeddedServer, attached_url, running_url
from anxin.trust.vault import Vault
from tests.platform.conftest import open_folder
from tests.platform.live_city import AS_OF_UTC_MS, enrolled
from tests.platform.test_doors import ORDER, Operator
from tests.platform.web import serving


def test_a_command_uses_the_server_that_runs_and_leaves_it_running_or_starts_one_and_stops_it() -> None:
    with open_folder() as folder:
        settings = Settings(data_dir=folder / "data")
        where = settings.data_dir / "postgres"
        assert running_url(where) is None
        with attached_url(settings) as url, psycopg.connect(url) as connection:
            connection.execute("create table kept (n int)")
        assert running_url(where) is None
        server = EmbeddedServer(where).start()
        with attached_url(settings) as url, psycopg.connect(url) as connection:
            assert connection.execute("select count(*) from kept").fetchone() == (0,)
        assert running_url(where) is not None
        server.stop()
        assert running_url(where) is None


def test_an_external_database_is_taken_as_it_is_named() -> None:
    settings = dataclasses.replace(Settings(data_dir=Path("nowhere")), database_url="postgresql://elsewhere/x")
    with attached_url(settings) as url:
        assert url == "postgresql://elsewhere/x"


@pytest.fixture
def settings(pg_url: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", database_url=pg_url)


@pytest.fixture
def admin(pg_url: str, platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[..., Any]:
    """The program as an administrator calls it; returns its JSON."""
    monkeypatch.setenv("ANXIN_DATABASE_URL", pg_url)

    def call(*words: str) -> Any:
        assert main(["admin", *words, "--data", str(platform.settings.data_dir), "--json"]) == 0
        platform.refresh()
        return json.loads(capsys.readouterr().out)

    return call


def test_an_operator_is_entered_suspended_and_admitted_again(admin: Callable[..., Any], platform: Platform) -> None:
    admin("operator", "add", "MA0000001", "一号运营商")
    values = admin("secrets", "new", "--operator", "MA0000001")
    assert platform.directory.valid_tcec("MA0000001")[0].operator_secret == values["operator_secret"]
    token = admin("token", "new", "--party", "MA0000001")["token"]
    assert platform.directory.party_of_token(token) == Party("MA0000001", Role.OPERATOR, "一号运营商", "MA0000001")
    assert platform.directory.register.operators[0].name == "一号运营商"
    admin("operator", "suspend", "MA0000001")
    assert platform.directory.party_of_token(token) is None
    assert platform.directory.valid_tcec("MA0000001") == ()
    assert admin("operator", "list")[0]["suspended"] is True
    admin("operator", "add", "MA0000001", "改名")
    admin("token", "new", "--party", "MA0000001")
    assert admin("operator", "list")[0] == {
        "party_id": "MA0000001", "role": "operator", "name": "改名", "operator_id": "MA0000001", "suspended": True,
            "districts": [],
    }  # fmt: skip
    admin("operator", "resume", "MA0000001")
    assert platform.directory.party_of_token(token) is not None


def test_a_charger_gets_a_password_that_admits_it_with_its_places(
    admin: Callable[..., Any], platform: Platform
) -> None:
    city = enrolled(platform, chargers=3, days=1, cheats=0).city
    charger_id = city.register.connectors[0].charger_id
    own = city.register.connectors[0].connector_id
    made = admin("charger", "password", charger_id, "--place", f"1/2={own}")
    shown = base64.b64encode(f"{charger_id}:{made['password']}".encode()).decode()
    admission = admit(platform.directory, charger_id, f"Basic {shown}")
    assert admission is not None
    assert Places(platform.directory, charger_id).connector("1/2") == own
    (listed,) = admin("credentials", "list", "--party", charger_id)
    assert made["password"] not in json.dumps(listed)
    admin("credentials", "revoke", listed["credential_id"])
    assert not admission.holds(platform.directory)
    folder = ["--data", str(platform.settings.data_dir)]
    for wrong in (["stranger"], [charger_id, "--place", "1"], [charger_id, "--place", "1=another's"]):
        assert main(["admin", "charger", "password", *wrong, *folder]) == 2


def test_a_credential_is_listed_without_its_secret_and_revoked_for_ever(
    admin: Callable[..., Any], platform: Platform
) -> None:
    token = admin("token", "new", "--party", "inspector", "--role", "inspector")["token"]
    (listed,) = admin("credentials", "list", "--party", "inspector")
    assert token not in json.dumps(listed)
    assert (listed["kind"], listed["revoked"]) == ("bearer", None)
    admin("credentials", "revoke", listed["credential_id"])
    assert platform.directory.party_of_token(token) is None
    earlier = "2026-10-01T00:00:00+08:00"
    admin("credentials", "revoke", listed["credential_id"], "--since", earlier)
    admin("credentials", "revoke", listed["credential_id"])
    assert admin("credentials", "list")[0]["revoked"].startswith("2026-09-30T16:00:00")


@pytest.mark.parametrize(
    "words",
    [
        ["operator", "add", " ", "x"],
        ["operator", "suspend", "nobody"],
        ["secrets", "new", "--operator", "nobody"],
        ["token", "new", "--party", "nobody"],
        ["token", "new", "--party", "nobody", "--role", "operator"],
        ["credentials", "revoke", "nothing"],
        ["credentials", "revoke", "nothing", "--since", "2026-10-01T00:00:00"],
        ["meter-key", "revoke", "nothing"],
        ["register", "import", "nowhere.json"],
    ],
)
def test_what_is_not_there_is_said(
    words: list[str], settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANXIN_DATABASE_URL", settings.database_url)
    assert main(["admin", *words, "--data", str(settings.data_dir)]) == 2
    assert "could not judge" in capsys.readouterr().err


def test_a_register_is_imported_and_an_older_file_undoes_no_revocation(
    admin: Callable[..., Any], platform: Platform, tmp_path: Path
) -> None:
    city = build(CityOptions(3, 6, 1, start=date(2026, 10, 1)))
    file, keys = tmp_path / "register.json", tmp_path / "keys.json"
    file.write_bytes(dump_register(city.register))
    keys.write_bytes(dump_keys((), [content_key(make_secret(3, n, m)) for n, m in enumerate(city.world.meter_code)]))
    told = admin("register", "import", str(file))
    assert told["keys"] == len(city.register.keys) > 0
    assert admin("register", "import", str(keys))["content_keys"] == len(platform.directory.content_keys) > 0
    assert platform.directory.register.keys == tuple(sorted(city.register.keys, key=lambda k: k.key_id))
    key, upload = city.register.keys[0], next(iter(platform.directory.content_keys))
    admin("meter-key", "revoke", key.key_id, "--since", "2026-10-01T08:00:00+08:00")
    admin("credentials", "revoke", upload)
    admin("operator", "suspend", key.meter_id)
    assert admin("register", "import", str(file))["keys"] == 0
    admin("register", "import", str(keys))
    (stands,) = [k for k in platform.directory.register.keys if k.key_id == key.key_id]
    assert stands.revoked_utc_ms == moment("2026-10-01T08:00:00+08:00")
    assert platform.directory.valid_content_key(upload) is None
    assert platform.directory.parties[key.meter_id].suspended


def test_a_key_revoked_back_to_its_theft_takes_the_standing_of_what_it_signed_since(
    admin: Callable[..., Any], platform: Platform, tmp_path: Path
) -> None:
    city = enrolled(platform, chargers=10, days=2, cheats=0)
    messages.append(platform.database, city.messages, AS_OF_UTC_MS, committed_entry)
    judge = Judge(platform, tmp_path)
    judge.settle(AS_OF_UTC_MS)
    busiest, count = busiest_key(platform)
    told = admin("meter-key", "revoke", busiest, "--since", "2026-10-01T00:00:00+08:00")
    assert told["judged_again"] == count > 1
    judge.settle(AS_OF_UTC_MS)
    judge.close()
    with platform.database.transaction() as connection:
        found = connection.execute("select count(*) from finding where present and rule = 'R17'").fetchone()
        waiting = connection.execute("select count(*) from requeued").fetchone()
    assert found is not None
    assert found[0] == count
    assert waiting == (0,)


def busiest_key(platform: Platform) -> tuple[str, int]:
    with platform.database.transaction() as connection:
        row = connection.execute(
            "select key_id, count(distinct message_index) from fact_signed_record group by 1 order by 2 desc limit 1"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_a_key_that_changes_while_its_records_are_judged_is_not_missed(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change commits after the judge has read the keys and before it has kept its facts."""
    city = enrolled(platform, chargers=6, days=1, cheats=0)
    messages.append(platform.database, city.messages, AS_OF_UTC_MS, committed_entry)
    judge = Judge(platform, tmp_path)
    first, second = platform.directory.register.keys[:2]
    wrong = dataclasses.replace(first, public_key=second.public_key, algorithm=second.algorithm)
    told: list[int] = []
    real = facts.hold_version

    def late(connection: Any, version: parties.Version) -> bool:
        if not told:
            told.append(parties.change_keys(platform.database, [wrong]))
        return real(connection, version)

    monkeypatch.setattr(facts, "hold_version", late)
    judge.settle(AS_OF_UTC_MS)
    judge.close()
    assert told == [0]
    with platform.database.transaction() as connection:
        rows = connection.execute(
            "select distinct answer from fact_signed_record join message on index = message_index where sender = %s",
            (first.meter_id,),
        )
        assert {r[0] for r in rows} == {"forged"}


def test_a_new_key_of_a_meter_follows_the_old_one(
    admin: Callable[..., Any], platform: Platform, tmp_path: Path
) -> None:
    city = enrolled(platform, chargers=6, days=1, cheats=0)
    old = city.city.register.keys[0]
    file = tmp_path / "keys.json"
    file.write_bytes(dump_keys([dataclasses.replace(old, key_id="new-key", valid_from_utc_ms=0)]))
    since = "2026-11-01T00:00:00+08:00"
    told = admin("meter-key", "rotate", old.key_id, str(file), "--since", since)
    assert told["follows"] == old.key_id
    keys = {k.key_id: k for k in platform.directory.register.keys}
    assert keys[old.key_id].valid_to_utc_ms == keys["new-key"].valid_from_utc_ms == moment(since)


@pytest.mark.parametrize("crash_after", range(6))
def test_the_master_key_is_exchanged_and_a_crash_at_any_step_leaves_what_opens(
    crash_after: int, platform: Platform
) -> None:
    path = master_key_file(platform.settings)
    administration.add_operator(platform.database, "MA0000001", "甲")
    values = administration.new_secrets(platform.database, platform.vault, "MA0000001")
    before = path.read_bytes()
    steps = rekey_steps(platform.database, path, lambda _: None)
    for _ in range(crash_after):
        next(steps)
    del steps
    for vault in (Vault.at(path), platform.vault):  # a process that starts, and one that has run all the time
        found = load_directory(platform.database, vault.open).valid_tcec("MA0000001")
        assert [s.operator_secret for s in found] == [values["operator_secret"]]
    later = administration.new_secrets(platform.database, platform.vault, "MA0000001")  # sealed by the running process
    assert rekey(platform.database, path, lambda _: None) == 2
    assert sorted(p.name for p in path.parent.glob("master*")) == ["master.key"]
    assert path.read_bytes() != before
    for vault in (Vault(path.read_bytes()), platform.vault):
        found = load_directory(platform.database, vault.open).valid_tcec("MA0000001")
        assert {s.operator_secret for s in found} == {values["operator_secret"], later["operator_secret"]}
    with pytest.raises(InputError):
        load_directory(platform.database, Vault(before).open)


def test_what_a_running_process_sealed_under_the_old_key_meanwhile_is_sealed_again(platform: Platform) -> None:
    path = master_key_file(platform.settings)
    administration.add_operator(platform.database, "MA0000001", "甲")
    old = Vault(path.read_bytes())

    def meanwhile(_: float) -> None:
        administration.new_secrets(platform.database, old, "MA0000001")

    assert rekey(platform.database, path, meanwhile) == 1
    assert len(load_directory(platform.database, Vault(path.read_bytes()).open).valid_tcec("MA0000001")) == 1


def test_a_replay_gives_the_same_verdicts_and_says_so_where_it_does_not(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    city = enrolled(platform, chargers=8, days=1, cheats=0)
    messages.append(platform.database, city.messages, AS_OF_UTC_MS, committed_entry)
    monkeypatch.setenv("ANXIN_DATABASE_URL", platform.database.url)
    words = ["rejudge", "--data", str(platform.settings.data_dir), "--json"]
    assert main(words) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["messages"] == len(city.messages)
    assert first["verdicts"] > 5
    assert main([*words, "--since", "2031-01-01T00:00:00Z"]) == 0
    assert json.loads(capsys.readouterr().out)["messages"] == 0
    # A key that was entered past all commands: the replay alone brings it to light.
    keys = {k.key_id: k for k in platform.directory.register.keys}
    busiest = keys.pop(busiest_key(platform)[0])
    other = next(iter(keys.values()))
    wrong = dataclasses.replace(busiest, public_key=other.public_key, algorithm=other.algorithm)
    parties.put_register(platform.database, Register(keys=(wrong,)))
    assert main(words) == 1
    later = json.loads(capsys.readouterr().out)
    assert later["before"] == first["after"] != later["after"]


def test_while_secrets_are_exchanged_under_load_nothing_valid_is_refused(
    admin: Callable[..., Any], platform: Platform
) -> None:
    """Two clients send all the time, one with the old secrets until they are revoked, one with the new ones."""
    city = enrolled(platform, chargers=6, days=1, cheats=0)
    order = next(m for m in city.messages if m.kind is Kind.TCEC_ORDER)
    answers: dict[str, list[int]] = {"old": [], "new": []}
    with serving(platform) as url:
        old = Operator(platform, url, order.sender)
        old.login()
        (old_id,) = [c["credential_id"] for c in admin("credentials", "list", "--party", order.sender)]
        running = {"old": True, "new": True}

        def send(name: str, operator: Operator) -> None:
            while running[name]:
                answers[name].append(operator.post(ORDER, operator.body(order.payload))[0])

        threads = [threading.Thread(target=send, args=("old", old))]
        threads[0].start()
        new = Operator(platform, url, order.sender)  # gives new secrets while the old ones are in use
        new.login()
        threads.append(threading.Thread(target=send, args=("new", new)))
        threads[1].start()
        admin("rekey")
        admin("token", "new", "--party", order.sender)
        while min(len(a) for a in answers.values()) <= 10 and all(t.is_alive() for t in threads):
            time.sleep(0.05)
        running["old"] = False
        threads[0].join(30)
        admin("credentials", "revoke", old_id)
        assert old.post(ORDER, old.body(order.payload))[0] == 4001
        time.sleep(0.3)
        running["new"] = False
        threads[1].join(30)
    assert set(answers["old"]) == set(answers["new"]) == {0}
    assert min(len(a) for a in answers.values()) > 10


def test_the_platform_of_an_operator_gets_what_lets_it_in(admin: Callable[..., Any], platform: Platform) -> None:
    connector = enrolled(platform, chargers=6, days=1, cheats=0).city.register.connectors[0]
    token = admin("ocpi", "token-a", "--operator", connector.operator_id, "--party", "CN*ABC")["token"]
    caller = caller_of(platform.directory, f"Token {token}")
    assert caller is not None
    assert (caller.party.party_id, caller.registered) == (connector.operator_id, False)
    assert main(["admin", "ocpi", "token-a", "--operator", connector.charger_id]) == 2


def test_what_an_operator_gave_us_to_ask_his_platform_with_is_entered(
    admin: Callable[..., Any], platform: Platform, tmp_path: Path
) -> None:
    operator = enrolled(platform, chargers=6, days=1, cheats=0).city.register.operators[0].operator_id
    file = tmp_path / "secrets.json"
    values = {"operator_secret": "s" * 16, "data_secret": "d" * 16, "data_secret_iv": "i" * 16, "sig_secret": "k" * 16}
    words = ("tcec-client", "--operator", operator, "--url", "https://cpo.example/evcs/v1", "--as", "MA0000001")
    file.write_text(json.dumps(values), "utf-8")
    name = admin(*words, str(file))["credential"]
    platform.refresh()
    (kept,) = platform.directory.credentials_of[operator, "tcec102_client"]
    assert (kept.credential_id, kept.public["url"]) == (name, "https://cpo.example/evcs/v1")
    assert kept.secret is not None
    assert json.loads(kept.secret) == values
    file.write_text(json.dumps(values | {"sig_secret": ""}), "utf-8")
    assert main(["admin", *words, str(file)]) == 2
    file.write_text("[]", "utf-8")
    assert main(["admin", *words, str(file)]) == 2
