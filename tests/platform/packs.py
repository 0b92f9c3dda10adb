"""A judged and published small city, and packs of its findings."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anxin.evidence.publisher import LogPublisher
from anxin.flow.intake import committed_entry
from anxin.flow.live import Judge
from anxin.flow.pack_files import write_zip
from anxin.flow.packing import Pack, Packer, PackSubject
from anxin.flow.platform import Platform
from anxin.flow.publishing import log_folder, log_signer
from anxin.store import messages as store
from tests.platform.live_city import AS_OF_UTC_MS, LiveCity, enrolled


@dataclass
class PackedCity:
    """A platform on which a city was judged; `vkey` is its log's key."""

    platform: Platform
    city: LiveCity
    packer: Packer

    @property
    def vkey(self) -> str:
        return self.packer.signer.vkey

    def findings(self, condition: str = "severity in ('violation', 'grave')", limit: int = 5) -> tuple[int, ...]:
        with self.platform.database.transaction() as connection:
            rows = connection.execute(
                f"select finding_id from finding where present and {condition} order by 1 limit {limit}".encode()
            ).fetchall()
        return tuple(int(r[0]) for r in rows)

    def pack(self, findings: tuple[int, ...] | None = None) -> Pack:
        return self.packer.make(PackSubject("F-1", self.findings() if findings is None else findings))

    def publish(self) -> None:
        publish(self.platform)


def publish(platform: Platform) -> None:
    """Publish the log of everything that is kept."""
    publisher = LogPublisher(log_folder(platform.settings), log_signer(platform.settings))
    database = platform.database
    publisher.publish(lambda first, count: store.entries(database, first, count), store.size(database))


@contextmanager
def judged_city(platform: Platform, scratch: Path, chargers: int = 10, days: int = 2) -> Iterator[PackedCity]:
    """Yield a platform whose city is judged and whose log is published."""
    city = enrolled(platform, chargers=chargers, days=days)
    judge = Judge(platform, scratch)
    try:
        store.append(platform.database, city.messages, AS_OF_UTC_MS - 1_000, committed_entry)
        judge.settle(AS_OF_UTC_MS)
        publish(platform)
        yield PackedCity(platform, city, Packer(platform))
    finally:
        judge.close()


def zipped(files: dict[str, bytes]) -> bytes:
    """Return files as a pack's ZIP."""
    out = io.BytesIO()
    write_zip(files, out)
    return out.getvalue()
