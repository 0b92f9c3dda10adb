"""The planner's schedules against the regulator's figures: minutes, kWh, expanded uncertainty, and what then limits.

    python -m bench.verification_plan

AC 7 kW and DC 60, 120, 480 kW, class 1 and 2, virtual and real load: the procedures of 2022 by pulses and by registers
of 0.001 and 0.01 kWh, those of 2018 by a register of 0.01 kWh. Real load is taken twice: with the load bank of the
bench's file, and with a load that takes the charger's whole power. The floor is the same schedule with every step of a
person at zero: what physics alone allows. It writes a table and a drawing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from anxin.domain.verification import LoadMethod
from anxin.verification.plan import Charger, Plan, bench_data, plan
from anxin.verification.procedures import Procedure, procedure_of
from anxin.verification.sourced import SourcedFile, package_files
from bench.common import BUILD, write

CHARGERS = {
    "AC 7 kW": Charger("AC", 7_000, 220_000, 1, "1", 1_600, 10_000),
    **{f"DC {kw} kW": Charger("DC", kw * 1_000, 750_000, 0, "1", 100, 10_000) for kw in (60, 120, 480)},
}
#: How a charger is read: pulses, or a register of so many milli-Wh.
WAYS: dict[int, dict[str, int | None]] = {
    2022: {"pulses": None, "0.001 kWh": 1_000, "0.01 kWh": 10_000},
    2018: {"0.01 kWh": 10_000},
}


def without_person(bench: SourcedFile) -> SourcedFile:
    """Return a bench's data with every step of a person at zero."""
    numbers = {n: replace(v, value=0) if n.startswith("person.") else v for n, v in bench.numbers.items()}
    return replace(bench, numbers=numbers)


def figures(procedure: Procedure, charger: Charger) -> dict[str, Any]:
    """Return the figures of one charger: virtual, real as the bank can, real at whole power, and the floor."""
    virtual, real = bench_data(LoadMethod.VIRTUAL), bench_data(LoadMethod.REAL)
    return {
        "virtual": of(plan(procedure, charger, virtual)),
        "real": of(plan(procedure, charger, real)),
        "real_whole_power": of(plan(procedure, charger, real, maximum_power_w=charger.power_w)),
        "floor": of(plan(procedure, charger, without_person(virtual))),
    }


def of(found: Plan) -> dict[str, Any]:
    """Return what is told of a plan."""
    return {
        "minutes": round(found.total_ms / 60_000, 1),
        "measured_s": round(sum(p.duration_ms for p in found.points) / 1_000, 1),
        "drawn_kwh": round(found.energy_drawn_milli_wh / 1_000_000, 3),
        "seen_kwh": round(found.energy_seen_milli_wh / 1_000_000, 3),
        "expanded_ppm": max(p.budget.expanded_ppm for p in found.points),
        "limited_by": found.limited_by,
        "points_limited_by": [p.limited_by for p in found.points],
        "reached": found.reached,
    }


def main() -> None:
    """Compute, print the table, write the figures and the drawing."""
    rows = []
    for year, ways in WAYS.items():
        for name, charger in CHARGERS.items():
            procedure = procedure_of(f"jjg-114{8 if charger.current == 'AC' else 9}-{year}")
            for accuracy_class in ("1", "2"):
                for way, register in ways.items():
                    one = replace(charger, accuracy_class=accuracy_class)
                    if register is not None:
                        one = replace(one, constant=None, register_milli_wh=register)
                    rows.append({"charger": name, "class": accuracy_class, "year": year, "by": way,
                                 **figures(procedure, one)})  # fmt: skip
    write("verification_plan", {"rows": rows})
    print("| JJG | charger | class | read by | virtual | drawn | real | drawn | U (95.45 %) | floor, no person |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        virtual, real, floor = row["virtual"], row["real_whole_power"], row["floor"]
        star = "" if row["real"]["reached"] else "*"
        print(
            f"| {row['year']} | {row['charger']} | {row['class']} | {row['by']} | {virtual['minutes']} min "
            f"| {virtual['drawn_kwh']} kWh | {real['minutes']}{star} min | {real['drawn_kwh']} kWh "
            f"| {virtual['expanded_ppm'] / 10_000:.3f} % | {floor['minutes']} min |"
        )
    draw(rows)


def draw(rows: list[dict[str, Any]]) -> None:
    """Write the drawing: minutes against the kWh really drawn, virtual and real, with the regulator's ten minutes."""
    import vl_convert

    published = package_files("figures")["hangzhou-2022"].number("minutes.virtual").value
    values = [
        {
            "minutes": row[way]["minutes"],
            "kwh": row[way]["drawn_kwh"],
            "load": load,
            "by": f"{row['by']}, JJG {row['year']}",
        }
        for row in rows
        for way, load in (("virtual", "virtual load"), ("real_whole_power", "real load"))
    ]
    axes = {
        "x": {"field": "kwh", "type": "quantitative", "scale": {"type": "log"}, "title": "kWh drawn from the grid"},
        "y": {"field": "minutes", "type": "quantitative", "scale": {"type": "log"}, "title": "minutes a charger"},
    }
    specification = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": 560,
        "height": 340,
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": True, "size": 70},
                "encoding": {
                    **axes,
                    "color": {"field": "load", "type": "nominal", "title": None},
                    "shape": {"field": "by", "type": "nominal", "title": "read by"},
                },
            },
            {
                "data": {"values": [{"minutes": published}]},
                "mark": {"type": "rule", "strokeDash": [4, 4]},
                "encoding": {"y": {"field": "minutes", "type": "quantitative"}},
            },
        ],
    }
    svg: str = vl_convert.vegalite_to_svg(specification)
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "verification-plan.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
