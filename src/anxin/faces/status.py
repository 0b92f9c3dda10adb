"""Health, metrics, and a plain status page in two languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from jinja2 import Environment, PackageLoader, select_autoescape

from anxin import __version__
from anxin.domain.errors import AnxinError
from anxin.evidence.note import Signer, open_checkpoint, parse_vkey
from anxin.flow import live_reading
from anxin.flow.cosigning import witness_states
from anxin.flow.platform import Platform
from anxin.flow.publishing import witness_report

_PAGES = Environment(loader=PackageLoader("anxin.faces", "pages"), autoescape=select_autoescape())


def router(platform: Platform, folder: Path, signer: Signer) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["status"])

    def numbers() -> dict[str, Any]:
        found = live_reading.status(platform)
        found["published"] = _published(folder, signer)
        found["witnesses"] = witness_states(witness_report(platform.settings), found["published"])
        found["origin"] = signer.name
        found["software"] = f"anxin-charging {__version__}"
        return found

    @routes.get("/health/live", response_class=PlainTextResponse)
    def live() -> str:
        """This process answers."""
        return "ok\n"

    @routes.get("/health/ready")
    def ready() -> Response:
        """The database answers, and the log can be read."""
        try:
            found = numbers()
        except AnxinError as error:
            return JSONResponse({"ready": False, "reason": str(error)}, 503)
        lag = {"unpublished": found["log_size"] - found["published"], "unjudged": found["log_size"] - found["judged"]}
        # A witness that is away does not stop the log; whoever runs the platform must see it all the same.
        return JSONResponse({"ready": True, **lag, "witnesses": found["witnesses"]})

    @routes.get("/api/status")
    def status() -> dict[str, Any]:
        """Totals: no person's and no operator's data."""
        return numbers()

    @routes.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> str:
        """The same totals for Prometheus."""
        found = numbers()
        lines = []
        for name in ("log_size", "judged", "published", "places_waiting", "conflicts"):
            lines += [f"# TYPE anxin_{name} gauge", f"anxin_{name} {found[name]}"]
        for name, label in (
            ("messages", "kind"), ("verdicts", "state"), ("findings", "rule"), ("severities", "severity"),
            ("refused", "door"), ("turned_away", "rule"),
        ):  # fmt: skip
            lines.append(f"# TYPE anxin_{name} gauge")
            lines += [f'anxin_{name}{{{label}="{key}"}} {count}' for key, count in found[name].items()]
        for name in ("size", "behind"):
            lines.append(f"# TYPE anxin_witness_{name} gauge")
            lines += [f'anxin_witness_{name}{{witness="{w["name"]}"}} {w[name]}' for w in found["witnesses"]]
        return "\n".join(lines) + "\n"

    @routes.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> str:
        return _PAGES.get_template("status.html").render(n=numbers())

    return routes


def _published(folder: Path, signer: Signer) -> int:
    path = folder / "checkpoint"
    return open_checkpoint(path.read_bytes(), parse_vkey(signer.vkey)).size if path.is_file() else 0
