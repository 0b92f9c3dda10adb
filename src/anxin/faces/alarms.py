"""Alarms over HTTP: the regulator's list, documents and acts, and the operator's own alarms and answers.

Who acts names the version that he saw, in `If-Match` or in the body; without one he is told 428, with an old one 409.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from anxin.domain.alarm import AlarmAct, AlarmState, Conclusion
from anxin.domain.finding import Severity
from anxin.domain.party import Party
from anxin.faces.queries import Before, Limit, Word
from anxin.faces.rights import Right, allowed
from anxin.flow import alarm_filters, alarm_reading, casework
from anxin.flow.alarm_reading import Filter
from anxin.flow.alarm_rules import AlarmRules, load_rules
from anxin.flow.casework import Said
from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform

Number = Annotated[int, Path(ge=1, lt=1 << 63)]
IfMatch = Annotated[str, Header(max_length=40)]
Name = Annotated[str | None, Query(max_length=64)]
_MAX_VERSION = 1 << 31


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Act(_Body):
    """What is said with an act. `text`: what is asked or why; `conclusion`: with `propose` alone."""

    version: int | None = Field(None, ge=0, lt=_MAX_VERSION)
    text: str = ""
    conclusion: Conclusion | None = None


class Assignment(_Body):
    """To whom an alarm is given; null: to nobody."""

    version: int | None = Field(None, ge=0, lt=_MAX_VERSION)
    to: str | None = Field(None, max_length=100)


class Comment(_Body):
    """A comment; `inner`: for the regulator alone."""

    version: int | None = Field(None, ge=0, lt=_MAX_VERSION)
    text: str
    inner: bool = True


class Item(_Body):
    """One alarm of a bulk act, with the version that was seen."""

    alarm_id: int = Field(ge=1, lt=1 << 63)
    version: int = Field(ge=0, lt=_MAX_VERSION)


class Bulk(_Body):
    """One act on alarms of one cause."""

    cause: str = Field(max_length=64)
    act: AlarmAct
    items: list[Item] = Field(min_length=1, max_length=casework.MAX_BULK)
    text: str = ""
    conclusion: Conclusion | None = None


class SavedFilter(_Body):
    """A filter under a name of one's own: the query of the list, as text."""

    name: str
    query: dict[str, str] = Field(max_length=20)


def _wanted(
    state: AlarmState | None = None,
    severity: Severity | None = None,
    district: Name = None,
    operator: Word = None,
    cause: Word = None,
    assigned: Name = None,
    unassigned: bool = False,
    overdue: bool = False,
) -> Filter:
    """The filters of the list and of the counts."""
    return Filter(
        state and state.value, severity and severity.value, district, operator, cause, assigned, unassigned,
        now_utc_ms() if overdue else None,
    )  # fmt: skip


def _version(if_match: str, given: int | None) -> int:
    """The version that an act names."""
    text = if_match.removeprefix("W/").strip('" ')
    if text.isdecimal() and len(text) < 10:
        return int(text)
    if if_match or given is None:
        raise HTTPException(428, "请给出所见版本 · name the version that you saw: If-Match or the field version")
    return given


def _lists(platform: Platform, rules: AlarmRules) -> APIRouter:
    """What both sides read, each its own."""
    routes = APIRouter(prefix="/api/alarms", tags=["alarms"])
    reader = Depends(allowed(platform, Right.READ_ALARMS))
    filters = Depends(_wanted)

    @routes.get("")
    def read_list(
        party: Party = reader, wanted: Filter = filters, before: Before = None, limit: Limit = 50
    ) -> list[dict[str, Any]]:
        """Alarms, newest first, below number `before`."""
        return alarm_reading.listed(platform, rules, party, wanted, before, limit)

    @routes.get("/counts")
    def read_counts(party: Party = reader, wanted: Filter = filters) -> dict[str, dict[str, int]]:
        """How many alarms there are by state, severity and cause, under the same filters."""
        return alarm_reading.counted(platform, party, wanted)

    @routes.get("/{alarm_id}")
    def read_one(alarm_id: Number, response: Response, party: Party = reader) -> dict[str, Any]:
        """One alarm: its findings with the verdict's figures of order and record, its steps, what may be done now."""
        found = alarm_reading.document(platform, rules, party, alarm_id)
        response.headers["ETag"] = f'"{found["version"]}"'
        return found

    @routes.get("/{alarm_id}/findings")
    def read_findings(
        alarm_id: Number, party: Party = reader, after: Annotated[int, Query(ge=0, lt=1 << 63)] = 0, limit: Limit = 50
    ) -> list[dict[str, Any]]:
        """An alarm's findings from number `after` on."""
        return alarm_reading.findings(platform, party, alarm_id, after, limit)

    return routes


def _acting(platform: Platform, rules: AlarmRules, routes: APIRouter, what: AlarmAct, right: Right, told: str) -> None:
    doer = Depends(allowed(platform, right))

    def do(alarm_id: Number, body: Act, party: Party = doer, if_match: IfMatch = "") -> dict[str, Any]:
        said = Said(_version(if_match, body.version), body.text, body.conclusion)
        return alarm_reading.alarm_fields(casework.act(platform, rules, party, alarm_id, what, said), rules, party)

    routes.post(f"/{{alarm_id}}/{what.value}", name=f"{what.value}_alarm", description=told)(do)


def _commenting(platform: Platform, rules: AlarmRules, routes: APIRouter) -> None:
    doer = Depends(allowed(platform, Right.COMMENT_ALARMS))

    @routes.post("/{alarm_id}/comments")
    def comment(alarm_id: Number, body: Comment, party: Party = doer, if_match: IfMatch = "") -> dict[str, Any]:
        """Add a comment. It overwrites nothing: a version may be named and need not be."""
        version = _version(if_match, body.version) if if_match or body.version is not None else None
        changed = casework.comment(platform, party, alarm_id, body.text, body.inner, version)
        return alarm_reading.alarm_fields(changed, rules, party)


def outer(platform: Platform) -> APIRouter:
    """Return the operators' routes: their own alarms once they were sent, answers, comments."""
    rules = load_rules(platform.settings)
    routes = _lists(platform, rules)
    _acting(platform, rules, routes, AlarmAct.ANSWER, Right.ANSWER_ALARMS, "Say what it was.")
    _commenting(platform, rules, routes)
    return routes


def inner(platform: Platform) -> APIRouter:
    """Return the regulator's routes: all of it but answers."""
    rules = load_rules(platform.settings)
    routes = APIRouter(tags=["alarms"])
    filters = APIRouter(prefix="/api/alarms", tags=["alarms"])
    reader = Depends(allowed(platform, Right.READ_ALARMS))
    handler = Depends(allowed(platform, Right.HANDLE_ALARMS))

    @filters.get("/filters")
    def read_filters(party: Party = reader) -> list[dict[str, Any]]:
        """One's own saved filters."""
        return alarm_filters.filters(platform, party)

    @filters.put("/filters")
    def save_filter(body: SavedFilter, party: Party = reader) -> dict[str, Any]:
        """Keep a filter under a name; one of that name is exchanged."""
        return alarm_filters.save(platform, party, body.name, body.query)

    @filters.delete("/filters/{name}", status_code=204)
    def drop_filter(name: Annotated[str, Path(max_length=200)], party: Party = reader) -> None:
        """Forget one of one's filters."""
        if not alarm_filters.drop(platform, party, name):
            raise HTTPException(404, "no filter of yours has that name")

    @filters.post("/bulk")
    def bulk(body: Bulk, party: Party = handler) -> list[dict[str, Any]]:
        """One act on alarms of one cause. Each is done or refused by itself, and reported so."""
        items = {item.alarm_id: item.version for item in body.items}
        said = Said(0, body.text, body.conclusion)
        return casework.bulk(platform, rules, party, body.cause, body.act, items, said)

    routes.include_router(filters)  # before /{alarm_id}
    lists = _lists(platform, rules)
    for what, right, told in (
        (AlarmAct.SEND, Right.HANDLE_ALARMS, "Send it to its operator, with what is asked of him."),
        (AlarmAct.REVIEW, Right.HANDLE_ALARMS, "Take the answer, or after the deadline its absence, under review."),
        (AlarmAct.PROPOSE, Right.HANDLE_ALARMS, "Propose a conclusion. A grave alarm waits for a second officer."),
        (AlarmAct.REOPEN, Right.HANDLE_ALARMS, "Open a closed alarm again, for a reason."),
        (AlarmAct.CONFIRM, Right.DECIDE_ALARMS, "Close it with the conclusion that another officer proposed."),
        (AlarmAct.REFUSE, Right.DECIDE_ALARMS, "Send another officer's proposal back to review."),
    ):
        _acting(platform, rules, lists, what, right, told)
    _commenting(platform, rules, lists)

    @lists.post("/{alarm_id}/assignment")
    def assign(alarm_id: Number, body: Assignment, party: Party = handler, if_match: IfMatch = "") -> dict[str, Any]:
        """Give an alarm to an officer."""
        changed = casework.assign(platform, party, alarm_id, _version(if_match, body.version), body.to)
        return alarm_reading.alarm_fields(changed, rules, party)

    routes.include_router(lists)
    return routes
