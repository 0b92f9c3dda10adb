"""Who exists on which side, and what a token may do that is bound to some rights."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from anxin.cli.main import main
from anxin.domain.party import OUTSIDE, REGULATOR, Credential, Party, Role
from anxin.faces.rights import RIGHTS, Right
from anxin.flow import enrol
from anxin.flow.platform import Platform
from anxin.store import parties
from tests.platform.web import Served, serving


@pytest.fixture
def served(platform: Platform) -> Iterator[Served]:
    with serving(platform) as found:
        yield found


def test_every_role_has_its_rights_and_every_right_somebody() -> None:
    assert RIGHTS.keys() == set(Role)
    assert set[Right]().union(*RIGHTS.values()) == set(Right)
    assert not RIGHTS[Role.METER] | RIGHTS[Role.CHARGER]


@pytest.mark.parametrize("role", Role)
def test_a_token_is_nobodys_on_the_other_side(role: Role, platform: Platform, served: Served) -> None:
    own = "MA1" if role in (Role.OPERATOR, Role.ENGINEER, Role.MANAGER) else None
    token = enrol.new_token(platform.database, platform.vault, Party("someone", role, "某人", own))
    platform.refresh()
    assert role in REGULATOR or role in OUTSIDE
    here, there = (served.regulator, str(served)) if role in REGULATOR else (str(served), served.regulator)
    held = {"authorization": f"Bearer {token}"}
    answers = [httpx.get(f"{side}/api/verdicts", headers=held) for side in (here, there)]
    assert answers[0].status_code == (200 if Right.READ_VERDICTS in RIGHTS[role] else 403)
    assert answers[1].status_code == 401
    # It hears what a guess hears: no word tells that the token holds elsewhere.
    guess = httpx.get(f"{there}/api/verdicts", headers={"authorization": "Bearer guess"})
    assert (answers[1].text, answers[1].headers["www-authenticate"]) == (guess.text, guess.headers["www-authenticate"])


def test_doors_are_not_on_the_regulators_side(served: Served) -> None:
    for path in ("/meter/v1/records", "/evcs/v1/query_token", "/api/uploads", "/bench/v1/results"):
        assert httpx.post(f"{served}{path}").status_code not in (404, 405)
        assert httpx.post(f"{served.regulator}{path}").status_code == 404
    assert httpx.get(f"{served.regulator}/ocpi/versions").status_code == 404


def test_a_token_bound_to_rights_does_no_more_and_a_malformed_bond_nothing(platform: Platform, served: Served) -> None:
    party = Party("supervisor-1", Role.SUPERVISOR, "主管")

    def statuses(token: str) -> list[int]:
        platform.refresh()
        held = {"authorization": f"Bearer {token}"}
        return [httpx.get(f"{served.regulator}/api/{p}", headers=held).status_code for p in ("verdicts", "findings")]

    assert statuses(enrol.new_token(platform.database, platform.vault, party)) == [200, 200]
    bound = enrol.new_token(platform.database, platform.vault, party, [Right.READ_FINDINGS])
    assert statuses(bound) == [403, 200]
    assert statuses(enrol.new_token(platform.database, platform.vault, party, [])) == [403, 403]
    # A scope adds nothing to what the role has.
    bench = Party("bench-1", Role.BENCH, "检定装置")
    more = enrol.new_token(platform.database, platform.vault, bench, [Right.READ_FINDINGS])
    platform.refresh()
    held = {"authorization": f"Bearer {more}"}
    assert httpx.get(f"{served}/api/findings", headers=held).status_code == 403
    lookup = parties.token_lookup("t" * 43)
    odd = Credential("bearer/odd", party.party_id, "bearer", lookup, {"scopes": "judge:findings:read"}, None, 0)
    parties.put_credentials(platform.database, [odd], platform.vault.seal)
    assert statuses("t" * 43) == [403, 403]


def test_a_bound_token_by_command(
    platform: Platform, served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANXIN_DATABASE_URL", platform.database.url)
    words = ["admin", "token", "new", "--party", "auditor-1", "--role", "auditor", "--scope"]
    folder = ["--data", str(platform.settings.data_dir)]
    assert main([*words, "judge:findings:read", *folder]) == 0
    token = capsys.readouterr().out.splitlines()[0]
    platform.refresh()
    held = {"authorization": f"Bearer {token}"}
    found = [httpx.get(f"{served.regulator}/api/{p}", headers=held).status_code for p in ("verdicts", "findings")]
    assert found == [403, 200]
    assert main([*words, "judge:findings:invent", *folder]) == 2
    assert "judge:findings:read" in capsys.readouterr().err
