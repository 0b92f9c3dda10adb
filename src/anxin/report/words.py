"""The page's words for the domain's values, Chinese first, with the sign that stands beside each colour.

A value that is not listed is shown as it came: a new state or severity is never hidden by an older page.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A domain value in both languages; `sign` is the id of the symbol that goes with it."""

    value: str
    zh: str
    en: str
    sign: str = "dot"


#: In the order in which states are stacked and listed; worst first but for `agree`.
STATES = (
    Word("agree", "一致", "Agree", "check"),
    Word("disagree", "不一致", "Disagree", "cross"),
    Word("order_only", "仅有订单", "Order only", "order"),
    Word("record_only", "仅有记录", "Record only", "meter"),
    Word("pending", "待补传", "Pending", "clock"),
)
#: What a case is that is no session: findings about an operator's totals, a meter's records, or neither.
OTHER_CASES = (
    Word("operator_totals", "运营商合计", "Operator totals", "order"),
    Word("meter", "电能表记录", "Meter's records", "meter"),
    Word("not_of_a_session", "不属某次充电", "Of no session", "dot"),
)
#: From gravest to lightest; cases are sorted so.
SEVERITIES = (
    Word("grave", "严重", "Grave", "diamond"),
    Word("violation", "违规", "Violation", "triangle"),
    Word("warning", "警示", "Warning", "square"),
    Word("note", "提示", "Note", "ring"),
)
ANSWERS = (
    Word("authentic", "签名真实", "Authentic", "check"),
    Word("forged", "签名伪造", "Forged", "cross"),
    Word("malformed", "格式不符", "Malformed", "triangle"),
    Word("cannot_judge", "无法判断", "Cannot judge", "ring"),
)
STATUSES = (
    Word("confirmed", "原文已核", "Confirmed", "check"),
    Word("secondary", "二手来源", "Secondary", "square"),
    Word("derived", "推算所得", "Derived", "ring"),
    Word("unconfirmed", "尚未核实", "Unconfirmed", "triangle"),
)
NEEDS = (
    Word("orders", "订单", "orders"),
    Word("records", "计量记录", "meter records"),
    Word("register", "设备台账", "register"),
    Word("tariffs", "电价表", "tariffs"),
    Word("keys", "密钥", "keys"),
    Word("meters", "电能表台账", "meters"),
    Word("connectors", "充电枪台账", "connectors"),
    Word("verifications", "检定记录", "verifications"),
    Word("seals", "封印记录", "seals"),
    Word("operator_totals", "运营商合计", "operator totals"),
    Word("order_periods", "订单分时明细", "order periods"),
    Word("record_periods", "计量分时明细", "record periods"),
    Word("statuses", "接口状态", "connector statuses"),
    Word("messages", "平台报文", "messages at the platform's doors"),
    Word("seal_events", "封印事件", "events of seals"),
)

_GROUPS = {
    "state": (*STATES, *OTHER_CASES),
    "severity": SEVERITIES,
    "answer": ANSWERS,
    "status": STATUSES,
    "need": NEEDS,
}
_BY_VALUE = {group: {word.value: word for word in words} for group, words in _GROUPS.items()}
_RANK = {word.value: rank for rank, word in enumerate(SEVERITIES)}


def word(group: str, value: object) -> Word:
    """Return the word of `group` (`state`, `severity`, `answer`, `status`, `need`) for `value`, known or not."""
    return _BY_VALUE[group].get(str(value)) or Word("other", str(value), str(value))


def severity_rank(value: str) -> int:
    """Return 0 for the gravest; an unknown severity sorts last."""
    return _RANK.get(str(value), len(SEVERITIES))
