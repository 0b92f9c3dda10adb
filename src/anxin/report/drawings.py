"""The charts: Vega-Lite specifications drawn to static SVG, and their colours handed over to the page's theme.

Each chart is drawn twice, for a desk and for a narrow screen, because text inside an SVG shrinks with it. Nothing
untrusted goes into a specification: dates are parsed, everything else is a number. Layout does not depend on the
fonts of the machine (`autosize` none, ticks named one by one), so the same view gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from lxml import etree
from markupsafe import Markup

from anxin.report.view import DIFFERENCE_EDGES_MILLI_WH, DayRow

#: Widths in CSS pixels of the two drawings of each chart.
WIDE, NARROW = 1080, 360
#: Above this many days a bar stands for a week, above `MAX_WEEKS` weeks for a month: bars stay wider than 2 px.
MAX_DAYS, MAX_WEEKS = 130, 200

#: Colours that only exist between the specification and `_themed`: each becomes a variable or a pattern of the page.
_THEME = {
    "#a00001": "var(--agree)",
    "#a00002": "var(--disagree)",
    "#a00003": "url(#fill-order_only)",
    "#a00004": "url(#fill-record_only)",
    "#a00005": "url(#fill-pending)",
    "#a00006": "var(--muted)",
    "#a00007": "var(--line)",
    "#a00008": "var(--axis)",
    "#a00009": "var(--over)",
    "#a0000a": "var(--under)",
}
_STATE_COLOURS = {
    "agree": "#a00001", "disagree": "#a00002", "order_only": "#a00003", "record_only": "#a00004", "pending": "#a00005",
}  # fmt: skip
#: The bins of DIFFERENCE_EDGES_MILLI_WH in kWh; a narrow screen has room for the outer edge of each only.
_DIFFERENCE_LABELS = {
    WIDE: (
        "<−100",
        "−100~−10",
        "−10~−1",
        "−1~−0.1",
        "−0.1~−0.01",
        "±0.01",
        "0.01~0.1",
        "0.1~1",
        "1~10",
        "10~100",
        ">100",
    ),
    NARROW: ("<−100", "−100", "−10", "−1", "−0.1", "±0.01", "0.1", "1", "10", "100", ">100"),
}
_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart in both widths."""

    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True)
class Buckets:
    """Sessions by state per day, week or month: `step` says which; `rows` are in order of time, gaps filled with 0."""

    step: str
    rows: tuple[DayRow, ...]


def buckets(daily: Sequence[DayRow]) -> Buckets:
    """Return `daily` summed into days, weeks (their Monday) or months, whichever can be drawn; dateless rows left out.

    At most MAX_DAYS, MAX_WEEKS or, for longer spans, one row a month, without end.
    """
    dated = [(day, row) for row in daily if (day := _date_of(row.local_date)) is not None]
    if not dated:
        return Buckets("day", ())
    first, last = min(day for day, _ in dated), max(day for day, _ in dated)
    span = (last - first).days + 1
    start_of: Callable[[date], date]
    if span <= MAX_DAYS:
        step, start_of, stride = "day", _itself, timedelta(days=1)
    elif span <= MAX_WEEKS * 7:
        step, start_of, stride = "week", _monday, timedelta(days=7)
    else:
        step, start_of, stride = "month", _month, timedelta(days=31)
    sums: dict[date, list[int]] = {}
    cursor = start_of(first)
    while cursor <= last:
        sums[cursor] = [0] * len(_STATE_COLOURS)
        cursor = start_of(cursor + stride)
    for day, row in dated:
        counts = sums[start_of(day)]
        for position, state in enumerate(_STATE_COLOURS):
            counts[position] += getattr(row, state)
    return Buckets(step, tuple(DayRow(day.isoformat(), *counts) for day, counts in sums.items()))


def sessions_chart(drawn: Buckets, states: Sequence[str], height: int) -> Chart:
    """Return sessions per bucket, stacked by the `states` given, bottom first."""

    def spec(width: int) -> dict[str, Any]:
        rows = [
            {"x": row.local_date, "s": state, "o": position, "n": getattr(row, state)}
            for row in drawn.rows
            for position, state in enumerate(states)
        ]
        most = max((sum(getattr(row, s) for s in states) for row in drawn.rows), default=0)
        every = max(1, -(-len(drawn.rows) * 62 // width))
        named = [row.local_date for row in drawn.rows[::every]]
        label = "slice(datum.label, 0, 7)" if drawn.step == "month" else "slice(datum.label, 5)"
        if drawn.step == "week":
            label = "slice(datum.label, 2)"
        return {
            "data": {"values": rows},
            "mark": {"type": "bar"},
            "encoding": {
                "x": _axis("x", "ordinal", {"values": named, "labelExpr": label}, {"paddingInner": 0.25}),
                "y": _axis(
                    "y", "quantitative", {"values": _ticks(most), "format": ",d"}, {"domain": [0, max(most, 1)]}
                ),
                "color": {
                    "field": "s",
                    "type": "nominal",
                    "legend": None,
                    "scale": {"domain": list(states), "range": [_STATE_COLOURS[s] for s in states]},
                },
                "order": {"field": "o", "type": "quantitative"},
            },
        }

    return _draw(spec, height, left=52)


def differences_chart(counts: Sequence[int], height: int = 200) -> Chart | None:
    """Return the distribution of order minus meter in kWh on a logarithmic count, None where nothing is counted."""
    if len(counts) != len(DIFFERENCE_EDGES_MILLI_WH) + 1 or not any(counts):
        return None
    middle = len(counts) // 2

    def spec(width: int) -> dict[str, Any]:
        labels = _DIFFERENCE_LABELS[width]
        rows = [
            {"x": label, "n": count, "s": "zero" if i == middle else "under" if i < middle else "over"}
            for i, (label, count) in enumerate(zip(labels, counts, strict=True))
        ]
        ticks = [0] + [10**k for k in range(len(str(max(counts))))]
        encoding: dict[str, Any] = {
            "x": _axis("x", "ordinal", {"labelFontSize": 11 if width == WIDE else 8}, {"paddingInner": 0.3}),
            "y": _axis(
                "y",
                "quantitative",
                {"values": ticks, "format": ",d"},
                {"type": "symlog", "constant": 1, "domain": [0, max(counts)]},
            ),
        }
        encoding["x"]["sort"] = None
        colour = {
            "field": "s",
            "type": "nominal",
            "legend": None,
            "scale": {"domain": ["under", "zero", "over"], "range": ["#a0000a", "#a00001", "#a00009"]},
        }
        figures = {"type": "text", "baseline": "bottom", "dy": -3, "fontSize": 11 if width == WIDE else 8}
        return {
            "data": {"values": rows},
            "layer": [
                {"mark": {"type": "bar"}, "encoding": {**encoding, "color": colour}},
                {
                    "transform": [{"filter": "datum.n > 0"}],
                    "mark": {**figures, "color": "#a00006"},
                    "encoding": {**encoding, "text": {"field": "n", "format": ",d"}},
                },
            ],
        }

    return _draw(spec, height, left=52)


def _draw(spec: Callable[[int], dict[str, Any]], height: int, left: int) -> Chart:
    # Imported here: the drawing engine costs 0.3 s to load, which `anxin check` should not pay.
    import vl_convert

    def one(width: int) -> Markup:
        padding = {"left": left, "right": 8, "top": 16, "bottom": 24}
        document = {
            "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
            "width": width - left - 8,
            "height": height,
            "background": None,
            "padding": padding,
            "autosize": {"type": "none"},
            "config": {"view": {"stroke": None}},
            **spec(width),
        }
        # allowed_base_urls: an empty list, so that drawing can never load anything.
        return _themed(vl_convert.vegalite_to_svg(document, vl_version="6.4", allowed_base_urls=[]))

    return Chart(one(WIDE), one(NARROW))


def _themed(svg: str) -> Markup:
    """Return the SVG with colours as variables of the page, without the engine's English descriptions and fonts."""
    root = etree.fromstring(svg.encode())
    for element in list(root.iter(f"{_SVG}*")):
        parent = element.getparent()
        if parent is not None and (element.get("display") == "none" or element.get("class") == "background"):
            parent.remove(element)
            continue
        for name in map(str, element.attrib.keys()):
            if name.startswith("aria-") or name in {"role", "class", "font-family", "pointer-events"}:
                del element.attrib[name]
            elif name in {"fill", "stroke"}:
                colour = str(element.attrib[name])
                element.set(name, _THEME.get(colour, colour))
    del root.attrib["version"]
    root.set("aria-hidden", "true")
    root.set("class", "chart")
    etree.cleanup_namespaces(root)
    return Markup(etree.tostring(root, encoding="unicode"))  # the engine's own SVG of numbers and dates


def _axis(field: str, kind: str, axis: dict[str, Any], scale: dict[str, Any]) -> dict[str, Any]:
    quiet = {
        "title": None, "labelColor": "#a00006", "gridColor": "#a00007", "domainColor": "#a00008", "labelAngle": 0,
        "ticks": False, "labelFontSize": 11, "labelOverlap": False, "labelPadding": 6, "domain": field == "x",
        "grid": field == "y",
    }  # fmt: skip
    name = "n" if field == "y" else field
    return {"field": name, "type": kind, "axis": {**quiet, **axis}, "scale": {**scale, "nice": False}}


def _ticks(most: int) -> list[int]:
    """Return three to six round counts from 0 to `most`."""
    if most < 1:
        return [0]
    step = next(
        factor * 10**power
        for power in range(len(str(most)))
        for factor in (1, 2, 5)
        if most // (factor * 10**power) <= 5
    )
    return list(range(0, most + 1, step))


def _date_of(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _itself(day: date) -> date:
    return day


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _month(day: date) -> date:
    return day.replace(day=1)
