"""What a mail of ours says: plain text, Chinese first, nothing that a mail program would load or run.

What comes from outside (names, ids) is text of one line: no line of the mail is anybody's but ours, and headers hold
nothing from outside but the address, which email.policy refuses with a line break in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from anxin.domain.errors import FormatError
from anxin.domain.quantities import moment_of
from anxin.formats.local_time import zone_of
from anxin.settings import Settings
from anxin.store.events import Event

#: Events that one mail lists; the others are counted.
MAX_LINES = 50
#: Characters of a value in a line.
MAX_VALUE_CHARS = 80
#: Characters of an address (RFC 5321, 4.5.3.1.3: 256 with its brackets).
MAX_ADDRESS_CHARS = 254
_ADDRESS = re.compile(r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$")
_WORDS = {
    "alarm.opened": "新告警 new alarm",
    "alarm.joined": "告警新增发现 findings joined an alarm",
    "alarm.sent": "告警已送运营商 sent to the operator",
    "alarm.answered": "运营商已答复 answered by the operator",
    "alarm.review": "复核中 under review",
    "alarm.proposed": "已提出结论 a conclusion is proposed",
    "alarm.closed": "告警已关闭 closed",
    "alarm.reopened": "告警重新打开 re-opened",
    "alarm.escalated": "超期升级 deadline missed, escalated",
    "alarm.comment": "新评论 comment",
    "webhook.paused": "回调已暂停 webhook paused",
    "webhook.missed": "回调有遗漏 webhook missed events",
    "mail.stopped": "邮件通知已停止 mail notices stopped",
}
_SHOWN = ("alarm_id", "cause", "severity", "charger_id", "due_utc_ms", "reason", "webhook_id")


def checked_address(text: str) -> str:
    """Return a mail address, as far as its text tells. Raises FormatError."""
    try:
        if len(text) > MAX_ADDRESS_CHARS or not _ADDRESS.match(text) or ".." in text:
            raise ValueError
        return Address(addr_spec=text).addr_spec
    except (ValueError, IndexError):
        raise FormatError("mail.address", "邮箱地址无效 · this is no mail address", "address") from None


def notice_mail(
    settings: Settings, to: str, message_id: str, counts: Mapping[str, int], events: Sequence[Event], *, digest: bool
) -> EmailMessage:
    """Return one mail that tells of all events counted, the first of them line by line."""
    total = sum(counts.values())
    what = "每日摘要 daily digest" if digest else "通知 notices"
    lines = [f"{_word(kind)} × {count:,}" for kind, count in counts.items()]
    lines += ["", *(_line(settings, event) for event in events[:MAX_LINES])]
    if total > MAX_LINES:
        lines.append(f"…… 另有 {total - MAX_LINES:,} 条 · and {total - MAX_LINES:,} more")
    return _mail(settings, to, message_id, f"{what}: {total:,}", lines)


def code_mail(settings: Settings, to: str, message_id: str, code: str, minutes: int) -> EmailMessage:
    """Return the mail with the code that confirms an address."""
    lines = [
        f"确认码：{code}（{minutes} 分钟内有效）。若您未申请，请忽略本邮件。",
        f"Your code: {code}, valid for {minutes} minutes. If you did not ask for it, ignore this mail.",
    ]
    return _mail(settings, to, message_id, "确认邮箱 confirm your address", lines)


def _mail(settings: Settings, to: str, message_id: str, subject: str, lines: Sequence[str]) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address("安心充电 Anxin Charging", addr_spec=settings.mail_from)
    mail["To"] = Address(addr_spec=to)
    mail["Subject"] = f"[安心充电] {subject}"
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = f"<{message_id}@{settings.mail_from.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer from an absent reader's robot
    place = f"\n{settings.public_url}/" if settings.public_url else ""
    foot = f"-- \n安心充电 Anxin Charging{place}\n可在平台中停止邮件通知 · stop these mails on the platform\n"
    mail.set_content("\n".join(lines) + "\n\n" + foot, cte="base64")
    return mail


def _line(settings: Settings, event: Event) -> str:
    at = moment_of(event.at_utc_ms, zone_of(settings.zone)).strftime("%Y-%m-%d %H:%M:%S")
    said = [f"{name}={_one_line(event.body[name])}" for name in _SHOWN if event.body.get(name) is not None]
    return "  ".join(filter(None, [at, _word(event.kind), event.operator_id and _one_line(event.operator_id), *said]))


def _word(kind: str) -> str:
    return _WORDS.get(kind, kind)


def _one_line(value: object) -> str:
    """One line of letters: no control characters, no marks that turn the writing round."""
    text = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in str(value)[: MAX_VALUE_CHARS + 1])
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}…"
