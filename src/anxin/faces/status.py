"""Health, metrics, and a plain status page in two languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from jinja2 import Environment, PackageLoader, select_autoescape

from anxin import __version__
from anxin.domain.errors import AnxinError
from anxin.evidence.note import Signer
from anxin.flow import declared_reading, live_reading
from anxin.flow.cosigning import witness_states
from anxin.flow.health import health, published_size
from anxin.flow.notice_measures import standing_lines
from anxin.flow.platform import Platform
from anxin.flow.publishing import witness_report

_PAGES = Environment(loader=PackageLoader("anxin.faces", "pages"), autoescape=select_autoescape())


def router(platform: Platform, folder: Path, signer: Signer) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["status"])
    titles = live_reading.rule_titles()

    def numbers() -> dict[str, Any]:
        found = live_reading.status(platform)
        found["published"] = published_size(folder, signer)
        found["witnesses"] = witness_states(witness_report(platform.settings), found["published"])
        found["origin"] = signer.name
        found["silent_operators"] = declared_reading.silent_operators(platform)
        found["software"] = f"anxin-charging {__version__}"
        return found

    @routes.get("/health/live", response_class=PlainTextResponse)
    def live() -> str:
        """This process answers."""
        return "ok\n"

    @routes.get("/health/ready")
    def ready() -> Response:
        """The platform does what it is there for: database, judge, publisher, room on the disk."""
        try:
            found = health(platform, folder, signer)
        except AnxinError as error:
            return JSONResponse({"ready": False, "reasons": [str(error)]}, 503)
        lag = {"unpublished": found.log_size - found.published, "unjudged": found.log_size - found.judged}
        lag_s = {"publish_lag_s": round(found.publish_lag_s, 1), "judge_lag_s": round(found.judge_lag_s, 1)}
        # A witness that is away does not stop the log; whoever runs the platform must see it all the same.
        witnesses = witness_states(witness_report(platform.settings), found.published)
        document = {"ready": not found.reasons, "reasons": list(found.reasons), **lag, **lag_s, "witnesses": witnesses}
        return JSONResponse(document, 503 if found.reasons else 200)

    @routes.get("/api/status")
    def status() -> dict[str, Any]:
        """Totals: no person's and no operator's data."""
        return numbers()

    @routes.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> str:
        """Totals, lags, and what this process measures of itself, for Prometheus."""
        found = numbers()
        state = health(platform, folder, signer)
        lines = []
        for name, value in (
            ("judge_lag_seconds", state.judge_lag_s), ("publish_lag_seconds", state.publish_lag_s),
            ("judge_works", int(state.judge_works)), ("free_mb", state.free_mb), ("ready", int(not state.reasons)),
        ):  # fmt: skip
            lines += [f"# TYPE anxin_{name} gauge", f"anxin_{name} {value}"]
        for name in ("log_size", "judged", "published", "places_waiting", "conflicts"):
            lines += [f"# TYPE anxin_{name} gauge", f"anxin_{name} {found[name]}"]
        for name, label in (
            ("messages", "kind"), ("verdicts", "state"), ("findings", "rule"), ("severities", "severity"),
            ("refused", "door"), ("deviations", "kind"), ("turned_away", "rule"),
            ("connectors", "status"), ("alarms", "state"),
        ):  # fmt: skip
            lines.append(f"# TYPE anxin_{name} gauge")
            lines += [f'anxin_{name}{{{label}="{key}"}} {count}' for key, count in found[name].items()]
        lines.append("# TYPE anxin_silent_operators gauge")
        silent = found["silent_operators"].items()
        lines += [f'anxin_silent_operators{{question="{question}"}} {count}' for question, count in silent]
        for name in ("size", "behind"):
            lines.append(f"# TYPE anxin_witness_{name} gauge")
            lines += [f'anxin_witness_{name}{{witness="{w["name"]}"}} {w[name]}' for w in found["witnesses"]]
        return "\n".join([*lines, *standing_lines(platform)]) + "\n" + platform.measures.text()

    @routes.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> str:
        return _PAGES.get_template("status.html").render(n=numbers(), rules=titles)

    return routes
