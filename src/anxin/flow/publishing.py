"""Publication of the evidence log: every second what is durable becomes tiles and a signed checkpoint."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from anxin.domain.errors import EvidenceError, StoreError
from anxin.evidence.note import Signer
from anxin.evidence.publisher import LogPublisher
from anxin.flow.cosigning import TIMEOUT_S, Cosigner, load_witnesses
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


def witness_report(settings: Settings) -> Path:
    """Return where the publisher writes down how the witnesses stand."""
    return settings.data_dir / "witnesses.json"


def publish_for_ever(database: Database, settings: Settings, stop: threading.Event) -> None:
    """Publish until `stop` is set. A log that contradicts the database, or what a witness saw, is an error that stays
    (EvidenceError)."""
    publisher = LogPublisher(log_folder(settings), log_signer(settings))
    witnesses = load_witnesses(settings.witnesses, settings.witness_quorum)
    if not witnesses:
        witness_report(settings).unlink(missing_ok=True)
        _publish_for_ever(publisher, database, settings, stop, lambda: None)
        return
    cosigner = Cosigner(publisher, witnesses, settings.witness_quorum, witness_report(settings))
    cosigner.refuse_if_older()
    ended = threading.Event()
    thread = threading.Thread(target=cosigner.run, args=(ended,), name="cosigner", daemon=True)
    thread.start()
    try:
        _publish_for_ever(publisher, database, settings, stop, lambda: cosigner.failure)
    finally:
        ended.set()
        thread.join(TIMEOUT_S * 2)
        cosigner.close()


def _publish_for_ever(
    publisher: LogPublisher,
    database: Database,
    settings: Settings,
    stop: threading.Event,
    failure: Callable[[], EvidenceError | None],
) -> None:
    while True:
        try:
            if (found := failure()) is not None:
                raise found
            publisher.publish(lambda first, count: messages.entries(database, first, count), messages.size(database))
        except (StoreError, OSError) as error:
            LOG.error("log: %s", error)
        except EvidenceError:
            LOG.exception("log: nothing is signed any more")
            raise
        if stop.wait(settings.publish_interval_ms / 1_000):
            return
