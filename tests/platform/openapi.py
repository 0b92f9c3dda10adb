"""`make client` writes the part of both apps' OpenAPI documents that the web pages call, as `web/openapi/<side>.json`.

Their types are made of it when the pages are built; a test compares the files with the apps.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.platform.authorisation import apps

FOLDER = Path(__file__).parents[2] / "web" / "openapi"
#: What the pages call; the doors are for machines.
CALLED = ("/api/", "/public/", "/log/", "/health/")


def documents() -> dict[str, str]:
    """Return the document of each app as text, by side: answers of success alone, since a problem has one form."""
    with tempfile.TemporaryDirectory() as folder:
        return {side: _text(app.openapi()) for side, app in apps(Path(folder)).items()}


def _text(document: dict[str, Any]) -> str:
    paths = {path: methods for path, methods in document["paths"].items() if path.startswith(CALLED)}
    for method in (m for methods in paths.values() for m in methods.values()):
        method["responses"] = {code: r for code, r in method["responses"].items() if code.startswith("2")}
    kept = {
        "openapi": document["openapi"],
        "info": {"title": document["info"]["title"], "version": "1"},
        "paths": paths,
    }
    return json.dumps({**kept, "components": document.get("components", {})}, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for side, text in documents().items():
        (FOLDER / f"{side}.json").write_text(text, encoding="utf-8")
    sys.stdout.write(f"{FOLDER}\n")
