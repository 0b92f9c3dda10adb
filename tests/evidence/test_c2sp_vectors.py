"""Notes that C2SP publishes (github.com/C2SP/C2SP: signed-note.md, tlog-cosignature.md; CC BY 4.0), as text from its
pages. Where a page gives a note without its key, it must still be taken apart, and not be believed."""

from __future__ import annotations

import contextlib

import pytest

from anxin.domain.errors import EvidenceError
from anxin.evidence.note import Verifier, parse_checkpoint, parse_note, parse_vkey

# signed-note.md, "Example"
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = """This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""
# signed-note.md, the note with an empty line inside its text
POEM = """Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
"""  # noqa: E501
# tlog-cosignature.md
COSIGNED = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""  # noqa: E501


def test_the_published_key_verifies_the_published_note() -> None:
    verifier = parse_vkey(VKEY)
    assert verifier.name == "example.com/foo"
    assert verifier.key_id.hex() == "530d903a"
    note = parse_note(NOTE.encode())
    assert note.text == "This is an example message.\n"
    assert note.signed_by(verifier)


def test_every_bit_of_the_published_note_counts() -> None:
    verifier = parse_vkey(VKEY)
    for bit in range(len(NOTE.encode()) * 8):
        bad = bytearray(NOTE.encode())
        bad[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(EvidenceError):
            assert not parse_note(bytes(bad)).signed_by(verifier), bit


def test_the_last_empty_line_parts_text_and_signatures() -> None:
    note = parse_note(POEM.encode())
    assert note.text.endswith("\n\ned è subito sera.\n")
    ((name, _, signature),) = note.signatures
    assert name == "quasimodo.example/salvatore"
    assert len(signature) == 64


def test_the_published_cosigned_checkpoint_is_taken_apart() -> None:
    note = parse_note(COSIGNED.encode())
    assert parse_checkpoint(note.text).size == 20852163
    names = [name for name, _, _ in note.signatures]
    assert names == ["example.com/behind-the-sofa", "witness.example.com/w1"]
    assert int.from_bytes(note.signatures[1][2][:8], "big") == 1679315147
    stranger = Verifier("witness.example.com/w1", 4, bytes(32))
    assert note.cosigned_at_s(stranger) is None


@pytest.mark.parametrize(
    "text",
    [
        "a\n\x01\n\n— n AAAAAAAA\n",  # a control character
        "text\n— n AAAAAAAA\n",  # no blank line
        "text\n\n— n+m AAAAAAAA\n",  # a plus in a name
        "text\n\n— n\u2003m AAAAAAAA\n",  # a Unicode space in a name
        "text\n\n- n AAAAAAAA\n",  # no em dash
        "text\n\n— n AAAAAAAA",  # no last line feed
        "text\n\n",  # no signature
    ],
)
def test_what_is_no_note_is_refused(text: str) -> None:
    with pytest.raises(EvidenceError):
        parse_note(text.encode())


@pytest.mark.parametrize(
    "text", ["o\n01\n{}\n", "o\n1\n{}\n\n", "\n1\n{}\n", "o\n1\n{}", "o\n-1\n{}\n", "o\n１\n{}\n", "o\n1\nAAAA\n"]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
    assert parse_checkpoint(f"o\n1\n{root}\nextension\n").size == 1
    with pytest.raises(EvidenceError):
        parse_checkpoint(text.format(root))
