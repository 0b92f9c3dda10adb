"""What the fuzzers share: seeds on disk, limits, and one rule: nothing but declared errors escapes.

    python -m tests.fuzz.fuzz_tcec102 -max_total_time=60

libFuzzer's own options may follow. An input that takes more than 10 s or 2 GB is reported like an exception.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import atheris

from anxin.domain.errors import AnxinError

DEFAULTS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=8192")


def run(
    target: Callable[[bytes], object],
    seeds: Iterable[bytes],
    dictionary: Iterable[str] = (),
    declared: type[Exception] | tuple[()] = AnxinError,
) -> None:
    """Fuzz `target` from `seeds` until libFuzzer's limits; any exception but a `declared` one is a finding."""

    def one_input(data: bytes) -> None:
        with contextlib.suppress(*((declared,) if isinstance(declared, type) else ())):
            target(data)

    with tempfile.TemporaryDirectory() as directory:
        corpus = Path(directory, "corpus")
        corpus.mkdir()
        for seed in seeds:
            (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
        words = Path(directory, "words")
        words.write_text("".join(f'"{word}"\n' for word in dictionary), "utf-8")
        atheris.Setup([sys.argv[0], *DEFAULTS, f"-dict={words}", *sys.argv[1:], str(corpus)], one_input)
        atheris.Fuzz()
