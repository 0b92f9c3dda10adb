"""Where real data and vectors lie. They are never committed; tests that need them skip where they are absent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("SHARED", ROOT.parent / "shared"))
REASON = "the public vectors are not here (set SHARED to the folder that holds vectors/ocmf.json)"


def vectors() -> list[dict[str, Any]]:
    """Return the public OCMF records with their verdicts, or an empty list where they are absent."""
    return _load("ocmf.json", "vectors")


def attacks() -> list[dict[str, Any]]:
    """Return the attacks on one record and those on a begin and an end, or an empty list where they are absent."""
    return _load("ocmf_attacks.json", "single", "pair")


def _load(name: str, *members: str) -> list[dict[str, Any]]:
    path = SHARED / "vectors" / name
    if not path.is_file():
        return []
    document = json.loads(path.read_text("utf-8"))
    return [entry for member in members for entry in document[member]]
