"""How telling of events goes, for Prometheus: what all processes know together."""

from __future__ import annotations

from anxin.flow.intake import now_utc_ms
from anxin.flow.platform import Platform
from anxin.store import notice_secrets, webhooks


def standing_lines(platform: Platform) -> list[str]:
    """Return lines in Prometheus' text format: outcomes by channel, endpoints, letters, and the lag in seconds."""
    standing = webhooks.standing(platform.database)
    lines = ["# TYPE anxin_notices gauge"]
    lines += [
        f'anxin_notices{{channel="{channel}",outcome="{outcome}"}} {count}'
        for (channel, outcome), count in notice_secrets.counts(platform.database).items()
    ]
    lines.append("# TYPE anxin_webhooks gauge")
    lines += [f'anxin_webhooks{{state="{state}"}} {standing[state]}' for state in ("active", "paused")]
    lines.append("# TYPE anxin_webhook_letters gauge")
    lines += [f'anxin_webhook_letters{{state="{state}"}} {standing[state]}' for state in ("waiting", "dead")]
    oldest = standing["oldest_utc_ms"]
    lag_s = max(0.0, (now_utc_ms() - oldest) / 1_000) if oldest else 0.0
    return [*lines, "# TYPE anxin_notice_lag_seconds gauge", f"anxin_notice_lag_seconds {lag_s:.1f}"]
