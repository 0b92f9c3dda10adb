"""The second city: Shenzhen's real stations, as they stand in the public files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from anxin.city.urbanev import OPERATOR, read_register
from anxin.cli.main import main
from anxin.domain.coordinates import Crs, point_of
from anxin.domain.errors import InputError
from anxin.finder.coordinates import converted
from anxin.finder.index import Index, Row
from anxin.formats.register import dump_register, load_register
from tests.vectors.shared import SHARED

FOLDER = SHARED / "data" / "shenzhen_urbanev"
HEAD = "station_id,longitude,latitude,charge_count,TAZID,area,perimeter\n"
needs_data = pytest.mark.skipif(
    not (FOLDER / "inf.csv").is_file(), reason="the public data sets are not here (set SHARED to their folder)"
)


@needs_data
@pytest.mark.parametrize(("name", "stations"), [("inf.csv", 1_362), ("inf_raw.csv", 1_587)])
def test_every_station_and_pile_comes_in(name: str, stations: int) -> None:
    register = read_register(FOLDER / name)
    lines = [line.split(",") for line in (FOLDER / name).read_text("utf-8").splitlines()[1:]]
    assert len(register.stations) == len(lines) == stations
    assert len(register.connectors) == sum(int(line[3]) for line in lines)
    piles = Counter(c.station_id for c in register.connectors)
    for line, station in zip(lines, register.stations, strict=True):
        assert (station.longitude, station.latitude, station.crs) == (line[1], line[2], "GCJ-02")
        assert piles[station.station_id] == int(line[3])
    districts = Counter(s.district for s in register.stations)
    # All nine districts, and next to no station outside them: the places are GCJ-02, as the outlines are.
    assert len([d for d in districts if d]) == 9
    assert districts[None] <= 5
    # What the data do not tell is not made up.
    assert {(c.rated_power_w, c.current_type, c.plug) for c in register.connectors} == {(0, "", None)}
    assert {c.operator_id for c in register.connectors} == {OPERATOR.operator_id}


@needs_data
def test_the_register_is_written_read_and_searched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "shenzhen.json"
    assert main(["city", "urbanev", str(FOLDER / "inf.csv"), "--out", str(out)]) == 0
    assert "1362" in capsys.readouterr().out
    register = load_register(out.read_bytes(), "shenzhen.json")
    again = load_register(dump_register(register), "shenzhen.json")
    assert again == register
    assert register.stations == read_register(FOLDER / "inf.csv").stations
    places = {s.station_id: point_of(s.longitude, s.latitude, s.crs) for s in register.stations}
    rows = []
    for c in register.connectors:
        place = places[c.station_id]
        assert place is not None
        rows.append(Row(c.connector_id, converted(place, Crs.WGS84), 0, "", c.operator_id))
    first = places[register.stations[0].station_id]
    assert first is not None
    found = Index(rows).nearest(converted(first, Crs.WGS84), 5)
    assert found[0].distance_mm == 0
    assert found[0].row.connector_id.startswith(register.stations[0].station_id)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a,b\n1,2\n", "columns"),
        (f"{HEAD}1001,113.7,x,20,1,1,1\n", "row 2: latitude is no number"),
        (f"{HEAD}1001,113.7,NaN,20,1,1,1\n", "row 2: latitude is no number"),
        (f"{HEAD}1001,213.7,22.7,20,1,1,1\n", "row 2: no station"),
        (f"{HEAD}1001,113.7,22.7,-1,1,1,1\n", "row 2: no station"),
        (f"{HEAD}../x,113.7,22.7,1,1,1,1\n", "row 2: no station"),
        (f"{HEAD}1001,113.7,22.7,1,1,1,1\n1001,113.8,22.7,1,1,1,1\n", "row 3: station 1001 stands twice"),
        ("\udcff", "UTF-8"),
    ],
)
def test_a_file_that_is_none_is_refused_by_its_row(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "inf.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=fault):
        read_register(path)
    assert main(["city", "urbanev", str(path), "--out", str(tmp_path / "r.json")]) == 2
    assert not (tmp_path / "r.json").exists()
