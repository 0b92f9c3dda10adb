"""The nearest 20 of a million connectors with wishes: the index, a look at all with numpy, and scipy's cKDTree.

Stations lie around 300 cities of China, dense in the middle; a station has 1 to 20 connectors. Questions are asked
where stations are, and now and then far from all. Each kind of question is asked QUESTIONS times of each side.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from anxin.domain.connector_status import State
from anxin.domain.coordinates import EARTH_RADIUS_M, Crs, Point
from anxin.finder.index import Index, Row, Wish, Word, unit_vectors
from bench.common import write

CONNECTORS, QUESTIONS, CHANGES, COUNT = 1_000_000, 400, 10_000, 20
OPERATORS = 300
#: Neighbours that the tree is asked for at first where a wish sifts them; four times as many until it suffices.
TREE_FIRST = 64
WISHES = {
    "nothing": Wish(),
    "free": Wish(free=True),
    "120 kW DC free": Wish(120_000, "DC", None, None, True),
    "one operator of 300, free": Wish(operators=frozenset({"O7"}), free=True),
    "30 operators (a price), DC free": Wish(0, "DC", None, frozenset(f"O{n}" for n in range(0, 300, 10)), True),
    "480 kW, free, 24 h: 1 in 2,000": Wish(480_000, "DC", None, None, True, False, True),
    "480 kW of one operator, 24 h: rare": Wish(480_000, "DC", None, frozenset({"O299"}), True, False, True),
    "nobody: 480 kW AC": Wish(480_000, "AC"),
}


def world(rng: np.random.Generator, count: int) -> tuple[list[Row], list[Word], dict[str, Any]]:
    """Return connectors, their states, and the same as columns."""
    cities = np.stack([rng.uniform(100, 122, 300), rng.uniform(22, 42, 300)], axis=1)
    sizes = rng.integers(1, 21, count)
    sizes = sizes[: int(np.searchsorted(np.cumsum(sizes), count)) + 1]
    station = np.repeat(np.arange(len(sizes)), sizes)[:count]
    weight = rng.pareto(1.2, 300) + 0.2
    city = rng.choice(300, len(sizes), p=weight / weight.sum())
    place = cities[city] + rng.normal(0, 0.12, (len(sizes), 2)) * rng.exponential(1, (len(sizes), 1))
    place = place.round(6)[station]
    dc = rng.random(count) < 0.55
    power = np.where(dc, rng.choice([60_000, 120_000, 180_000, 240_000, 480_000], count,
                                    p=[0.4, 0.4, 0.15, 0.045, 0.005]), 7_000)  # fmt: skip
    operator = (rng.pareto(1, len(sizes)) * 5).astype(int).clip(0, OPERATORS - 1)[station]
    open_24h = (rng.random(len(sizes)) < 0.6)[station]
    idle = rng.random(count) < 0.6
    rows = [
        Row(f"{n:010d}", Point(lon, lat, Crs.WGS84), p, "DC" if d else "AC", f"O{o}", None, h)
        for n, ((lon, lat), p, d, o, h) in enumerate(
            zip(place.tolist(), power.tolist(), dc.tolist(), operator.tolist(), open_24h.tolist(), strict=True)
        )
    ]
    words = [Word(r.connector_id, State.IDLE if i else State.CHARGING, 1, 1) for r, i in zip(rows, idle, strict=True)]
    xyz = unit_vectors(place[:, 0], place[:, 1])
    return rows, words, {
        "xyz": xyz, "dc": dc, "power": power, "operator": operator, "open_24h": open_24h, "idle": idle, "place": place,
    }  # fmt: skip


def fits(columns: dict[str, Any], wish: Wish, of: Any) -> Any:
    """Return which of some rows a wish allows."""
    found = columns["power"][of] >= wish.least_power_w
    if wish.current_type:
        found &= columns["dc"][of] == (wish.current_type == "DC")
    if wish.free:
        found &= columns["idle"][of]
    if wish.open_24h:
        found &= columns["open_24h"][of]
    if wish.operators is not None:
        allowed = np.zeros(OPERATORS, bool)
        allowed[[int(o[1:]) for o in wish.operators]] = True
        found &= allowed[columns["operator"][of]]
    return found


def by_brute_force(columns: dict[str, Any], here: Any, wish: Wish) -> list[float]:
    """Return the distances in metres of the nearest, after a look at all."""
    chosen = np.flatnonzero(fits(columns, wish, slice(None)))
    apart = columns["xyz"][chosen] - here
    squares = np.einsum("ij,ij->i", apart, apart)
    if len(squares) > COUNT:
        squares = np.partition(squares, COUNT)[:COUNT]
    return metres(np.sqrt(np.sort(squares)))


def by_tree(tree: Any, columns: dict[str, Any], here: Any, wish: Wish) -> list[float]:
    """Return the same from a tree of places: asked for more and more until enough of them fit."""
    ask, total = (COUNT if wish == Wish() else TREE_FIRST), len(columns["power"])
    while True:
        chords, rows = tree.query(here, min(ask, total))
        good = fits(columns, wish, rows)
        if good.sum() >= COUNT or ask >= total:
            return metres(chords[good][:COUNT])
        ask *= 4


def metres(chords: Any) -> list[float]:
    """Return metres along the great circle of chords of the unit sphere."""
    return [float(m) for m in 2 * EARTH_RADIUS_M * np.arcsin(np.minimum(chords / 2, 1))]


def timed(ask: Callable[[Any], Any], questions: list[Any]) -> tuple[list[float], list[Any]]:
    """Return milliseconds and answers."""
    took, answers = [], []
    for question in questions:
        began = time.perf_counter()
        answers.append(ask(question))
        took.append((time.perf_counter() - began) * 1_000)
    return took, answers


def main() -> None:
    """Measure, compare the answers, write build/bench/finder.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--connectors", type=int, default=CONNECTORS)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--peers", type=int, default=40, help="questions that the peers are asked of each kind")
    args = parser.parse_args()
    rng = np.random.default_rng(5)
    rows, words, columns = world(rng, args.connectors)
    began = time.perf_counter()
    index = Index(rows)
    built_s = time.perf_counter() - began
    began = time.perf_counter()
    index.put(words)
    filled_s = time.perf_counter() - began
    began = time.perf_counter()
    tree = cKDTree(columns["xyz"])
    tree_s = time.perf_counter() - began
    changes = [words[n] for n in rng.integers(0, len(words), CHANGES).tolist()]
    began = time.perf_counter()
    for word in changes:
        index.put([word])
    change_s = (time.perf_counter() - began) / CHANGES
    kinds, everything = {}, []
    for name, wish in WISHES.items():
        near = columns["place"][rng.integers(0, len(rows), args.questions)] + rng.normal(0, 0.02, (args.questions, 2))
        near[::20] = np.stack([rng.uniform(-180, 180, len(near[::20])), rng.uniform(-89, 89, len(near[::20]))], axis=1)
        points = [Point(lon, lat, Crs.WGS84) for lon, lat in near.tolist()]
        heres = list(unit_vectors(near[:, 0], near[:, 1]))
        took, found = timed(lambda p, w=wish: index.nearest(p, COUNT, w), points)  # type: ignore[misc]
        brute, told = timed(lambda h, w=wish: by_brute_force(columns, h, w), heres[: args.peers])  # type: ignore[misc]
        trees, said = timed(lambda h, w=wish: by_tree(tree, columns, h, w), heres[: args.peers])  # type: ignore[misc]
        for one, two, three in zip(found, told, said, strict=False):
            own = [n.distance_mm / 1_000 for n in one]
            assert np.allclose(own, two, atol=1, rtol=1e-6), (name, own, two)
            assert np.allclose(own, three, atol=1, rtol=1e-6), (name, own, three)
        everything += took
        kinds[name] = {
            "matching": int(fits(columns, wish, slice(None)).sum()),
            **{f"{side}_{q}_ms": round(float(np.quantile(t, p)), 3)
               for side, t in (("index", took), ("numpy", brute), ("ckdtree", trees))
               for q, p in (("p50", 0.5), ("p99", 0.99))},
        }  # fmt: skip
    write("finder", {
        "connectors": len(rows), "nearest": COUNT, "questions_of_a_kind": args.questions,
        "built_s": round(built_s, 2), "filled_s": round(filled_s, 2), "ckdtree_built_s": round(tree_s, 2),
        "one_change_us": round(change_s * 1e6, 1),
        "all_p50_ms": round(float(np.quantile(everything, 0.5)), 3),
        "all_p99_ms": round(float(np.quantile(everything, 0.99)), 3),
        "all_max_ms": round(max(everything), 3),
        "kinds": kinds,
    })  # fmt: skip


if __name__ == "__main__":
    main()
