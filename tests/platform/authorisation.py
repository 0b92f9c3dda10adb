"""The authorisation matrix, from the apps' route tables and authorisation.toml.

`python -m tests.platform.authorisation` prints docs/authorisation.md.
"""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from anxin.domain.party import OUTSIDE, REGULATOR, Role
from anxin.faces import outer, regulator
from anxin.faces.rights import RIGHTS, Right
from anxin.flow.platform import Platform
from anxin.settings import Settings
from anxin.store.database import Database
from anxin.trust.vault import Vault

DECLARED: dict[str, Any] = tomllib.loads(Path(__file__).with_name("authorisation.toml").read_text("utf-8"))
SIDES = {"outer": OUTSIDE, "regulator": REGULATOR}


@dataclass(frozen=True, order=True)
class Route:
    """One route of one app; `right` is None where none is asked for."""

    side: str
    path: str
    method: str
    right: Right | None

    @property
    def name(self) -> str:
        """What it is called in the declared table."""
        return f"{self.method} {self.path}"

    @property
    def has_id(self) -> bool:
        """Whether its path names a thing."""
        return "{" in self.path

    @property
    def door(self) -> str | None:
        """The declared door that it belongs to, None where it is none."""
        return next((prefix for prefix in DECLARED["door"] if self.path.startswith(prefix)), None)


def apps(folder: Path) -> dict[str, FastAPI]:
    """Return both apps over a platform that is not running."""
    settings = Settings(data_dir=folder)
    platform = Platform(settings, Database("postgresql://nobody@nowhere/none"), Vault.at(folder / "master.key"))
    return {"outer": outer.create_app(platform), "regulator": regulator.create_app(platform)}


def routes() -> list[Route]:
    """Return every route of both apps, sorted."""
    with tempfile.TemporaryDirectory() as folder:
        return sorted(
            {
                Route(side, route.path, method, _right(route))
                for side, app in apps(Path(folder)).items()
                for route in _flat(app.routes)
                for method in _methods(route)
            },
            key=lambda r: (r.side, r.path, r.method),
        )


def _flat(found: Iterable[Any]) -> Iterator[Any]:
    for route in found:
        if hasattr(route, "effective_candidates"):
            yield from _flat(route.effective_candidates())
        else:
            yield getattr(route, "starlette_route", None) or route


def _methods(route: Any) -> list[str]:
    kinds = {"Mount": "MOUNT", "APIWebSocketRoute": "WEBSOCKET", "WebSocketRoute": "WEBSOCKET"}
    other = kinds.get(type(route).__name__)
    return [other] if other else sorted(set(route.methods) - {"HEAD"})


def _right(route: Any) -> Right | None:
    """The right that a dependency of the route asks for. Raises AssertionError where it asks for two."""

    def asked(dependant: Any) -> Iterator[Right]:
        for one in dependant.dependencies:
            if "right" in getattr(one.call, "__dict__", {}):
                yield one.call.__dict__["right"]
            yield from asked(one)

    found = set(asked(route.dependant)) if getattr(route, "dependant", None) is not None else set()
    assert len(found) < 2, f"{route.path} asks for {found}"
    return next(iter(found), None)


def faults(found: list[Route]) -> list[str]:
    """Return what is not declared, or declared twice, or declared and not there."""
    said = []
    for route in found:
        ways = [route.right is not None, route.name in DECLARED["public"], route.door is not None]
        if sum(ways) != 1:
            said.append(f"{route.side}: {route.name} has {sum(ways)} of: a right, a public line, a door")
        if route.right is not None and route.has_id and route.name not in DECLARED["id"]:
            said.append(f"{route.side}: {route.name} does not say whose its id is")
    names = {route.name for route in found}
    said += [
        f"{name} is declared and not there" for name in (*DECLARED["public"], *DECLARED["id"]) if name not in names
    ]
    said += [f"no route of door {door}" for door in DECLARED["door"] if door not in {r.door for r in found}]
    return said


def page() -> str:
    """Return docs/authorisation.md."""
    found = routes()
    lines = [
        "# Who may call what",
        "",
        "Written by `make docs` from the apps' route tables, `src/anxin/faces/rights.py` and",
        "`tests/platform/authorisation.toml`; the test beside that file tries every cell on real servers. ● may, – is",
        "answered 403. A stranger, and whoever belongs to the other side, is answered 401. An id of another tenant or",
        "district is answered as one that is not there. A bearer token can be bound to some of its role's rights.",
        "",
    ]
    titles = {"outer": "The outer app", "regulator": "The regulator's app"}
    for side, members in SIDES.items():
        roles = [role for role in Role if role in members]
        lines += [f"## {titles[side]}", "", f"| route | right | {' | '.join(roles)} |", "|---" * (len(roles) + 2) + "|"]
        for route in found:
            if route.side == side and route.right is not None:
                cells = ["●" if route.right in RIGHTS[role] else "–" for role in roles]
                lines.append(f"| `{route.name}` | `{route.right.value}` | {' | '.join(cells)} |")
        lines.append("")
    lines += [
        "## Doors with a proof of identity of their own",
        "",
        "| door | routes | who one is, is shown by |",
        "|---|---|---|",
    ]
    for prefix, door in DECLARED["door"].items():
        lines.append(f"| `{prefix}` | {sum(r.door == prefix for r in found)} | {door['by']} |")
    lines += ["", "## Open to anyone", "", "| route | app | why |", "|---|---|---|"]
    for name, why in DECLARED["public"].items():
        sides = [side for side in SIDES if any(r.side == side and r.name == name for r in found)]
        lines.append(f"| `{name}` | {', '.join(sides)} | {why} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
