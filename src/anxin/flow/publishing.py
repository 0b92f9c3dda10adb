"""Publication of the evidence log: every second what is durable becomes tiles and a signed checkpoint."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from anxin.domain.errors import EvidenceError, StoreError
from anxin.evidence.note import Signer
from anxin.evidence.publisher import LogPublisher
from anxin.settings import Settings
from anxin.store import messages
from anxin.store.database import Database
from anxin.trust.vault import load_or_make_key

LOG = logging.getLogger("anxin.log")


def log_signer(settings: Settings) -> Signer:
    """Return the signer of this platform's log; its key is made at the first start."""
    return Signer(settings.log_origin, load_or_make_key(settings.data_dir / "secrets" / "log.key"))


def log_folder(settings: Settings) -> Path:
    """Return where the log is published."""
    return settings.data_dir / "log"


def publish_for_ever(database: Database, settings: Settings, stop: threading.Event) -> None:
    """Publish until `stop` is set. A log that contradicts the database is an error that stays (EvidenceError)."""
    publisher = LogPublisher(log_folder(settings), log_signer(settings))
    while True:
        try:
            publisher.publish(lambda first, count: messages.entries(database, first, count), messages.size(database))
        except (StoreError, OSError) as error:
            LOG.error("log: %s", error)
        except EvidenceError:
            LOG.exception("log: nothing is signed any more")
            raise
        if stop.wait(settings.publish_interval_ms / 1_000):
            return
