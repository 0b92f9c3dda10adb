"""What a rule is. One rule a file under rules/; each file ends in one `RULE = Rule(...)`.

A rule may look at three grounds, one or more of them:

- `on_record`: the judged records of one transaction, in plain Python, when a record is decoded (`anxin check`
  and the import of an audit run the same function);
- `on_facts`: all facts at once, as Ibis expressions over the tables of `facts.Facts`, on any engine;
- `on_conflict`: two messages that came in at a door under one id, on the running platform alone.
- `on_seal`: one event of a seal in its place among the others, on the running platform alone.

All yield raw findings (`RawFinding`, or a table with the same columns); `render` turns them into the sentences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from anxin.domain.finding import Severity

if TYPE_CHECKING:
    from anxin.domain.batch import Transaction
    from anxin.domain.message import Conflict
    from anxin.domain.seal_event import SealStep
    from anxin.reconcile.policy import Policy

#: Between the ids of one finding: the unit separator of ASCII, which no operator writes into an id.
ID_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class RawFinding:
    """A finding before its sentences: what it rests on, and figures as integers of one `quantity`.

    quantity: `energy` (mWh), `amount` (ten-thousandths), `duration` (ms), `time` (UTC ms), `count`, `power` (W),
    `text` (then expected_text and found_text carry it).
    order_ids, record_ids: several are separated by ID_SEPARATOR (an id may hold blanks). `detail` is a short
    language-neutral text (a name, a value, an id) that a cause's sentence may quote as {detail}.
    """

    rule: str
    cause: str
    quantity: str = "text"
    expected: int | None = None
    found: int | None = None
    tolerance: int | None = None
    expected_text: str | None = None
    found_text: str | None = None
    detail: str | None = None
    order_ids: str | None = None
    record_ids: str | None = None
    connector_id: str | None = None
    meter_id: str | None = None
    operator_id: str | None = None
    at_utc_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Basis:
    """Where a rule comes from: `source` with clause; `status` `confirmed`, `secondary`, `derived` or `unconfirmed`."""

    source: str
    status: str


@dataclass(frozen=True, slots=True)
class Cause:
    """One way to break a rule, with its sentences. Placeholders: {expected} {found} {difference} {tolerance}
    {unit} {orders} {records} {connector} {meter} {operator} {at} {detail}."""

    id: str
    severity: Severity
    disagrees: bool
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the rule book.

    needs     facts without which `on_facts` is not run: names of tables (`records`, `tariffs`, `keys`, ...);
              a rule that was not run for want of them is listed as such in the report, never silently passed
    example   a scenario in the notation of tests/scenarios (docs/rules.md shows it); it is also the rule's test
    record_example   the same for `on_record` where the rule looks at both grounds
    same_on_facts    causes that `on_record` raises for `anxin check` and `on_facts` raises again in an audit, where
                     the register is known: an audit keeps the latter
    """

    id: str
    name: str
    title_zh: str
    title_en: str
    explain_zh: str
    explain_en: str
    basis: tuple[Basis, ...]
    causes: tuple[Cause, ...]
    example: str
    needs: tuple[str, ...] = ("orders",)
    record_example: str | None = None
    same_on_facts: tuple[str, ...] = ()
    on_record: Callable[[Transaction, Policy], list[RawFinding]] | None = None
    # An Ibis table with the columns of RawFinding, or several of them; typed loosely because Ibis carries no types.
    on_facts: Callable[[Any, Policy], list[Any]] | None = None
    on_conflict: Callable[[Conflict], list[RawFinding]] | None = None
    on_seal: Callable[[SealStep], list[RawFinding]] | None = None
    causes_by_id: dict[str, Cause] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "causes_by_id", {c.id: c for c in self.causes})
