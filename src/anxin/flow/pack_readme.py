"""README of an evidence pack: how to check it by hand, with sha256sum and openssl, and no program of ours.

The commands are written out with this pack's own values; a test runs them as they stand.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from anxin.evidence.note import Signer
from anxin.flow.receipts import parse_receipt

if TYPE_CHECKING:
    from anxin.flow.packing import Pack

#: What may stand between quotes in a shell's command. Sender's ids with anything else are not shown as a command.
_PLAIN = re.compile(r"[A-Za-z0-9 ._:/@+*#=-]*")
_VERIFY = "openssl pkeyutl -verify -pubin -inkey log/key.pem -rawin"

_ZH = """\
证据包 {number}
================

本包独立成立：不联系平台即可核验。全部文件见 manifest.json；格式说明见平台文档 evidence-pack。
最省事的办法：anxin check 本包.zip --log-key 日志公钥
日志公钥应当从别处取得（平台公布的 /log/vkey），不要只信本包自带的 log/vkey：
只用本包自带的公钥，只能说明本包前后一致，不能说明它出自平台。

以下命令在解开的文件夹中执行，不需要我们的程序。

1  文件齐全、未改动
{sums}
2  上述清单由日志私钥签名（log/key.pem 与 log/vkey 是同一公钥）
{seal}
3  逐条核对消息：收到的字节、回执签名、存证条目（以 {index} 号为例，其余相同）
{receipt}
4  证明：每个文件夹中的 proof.txt 是 C2SP tlog-proof；任何 tlog 工具配合 log/vkey 均可核验。
   条目即回执中的 entry。检查点由日志私钥签名：
{checkpoint}
5  摘要 summary.pdf 以 signer.pem 签名（PAdES）；任何 PDF 阅读器或 pdfsig 均可核验。其页脚是 manifest.json 的 SHA-256：
{pdf}
6  电能表签名：register/register.json 中有公钥；各 record-N 是电能表签名的原文（OCMF）。
   经加密信封上传的记录由平台解开；持有该表内容密钥者可以用 anxin check --keys 核对信封与原文。

人员在本包中只以编号出现。驾驶人的信息只在收到的原始消息内。已依法删除的消息只附回执。
"""
_EN = """\
Evidence pack {number}
================

This pack stands alone: it is checked without the platform. manifest.json lists its files; the platform's page
evidence-pack describes the format. The easy way: anxin check PACK.zip --log-key KEY
Take the log's key from elsewhere (the platform publishes /log/vkey), not from this pack alone: with the key that came
along you see that the pack agrees with itself, and not that the platform made it.

The commands below are run in the unpacked folder. They need no program of ours.

1  All files are there and unaltered
{sums}
2  That list is signed by the log's key (log/key.pem and log/vkey are the same public key)
{seal}
3  A message: the bytes as received, the receipt's signature, the entry (number {index} here; the others alike)
{receipt}
4  Proofs: proof.txt in each folder is a C2SP tlog-proof; any tlog tool checks it with log/vkey.
   Its entry is the receipt's `entry`. The checkpoint is signed by the log's key:
{checkpoint}
5  summary.pdf is signed (PAdES) with signer.pem; any PDF reader or pdfsig checks it. Its footer is the SHA-256 of
   manifest.json:
{pdf}
6  Meters' signatures: register/register.json has the public keys; each record-N is the text that a meter signed (OCMF).
   What came in an encrypted envelope was opened by the platform; who has the meter's content key can compare the two
   by anxin check --keys.

People appear by number alone. What there is of drivers stands inside messages as they were received. Of messages that
were erased as the law asks, the receipts alone are here.
"""


def readmes(pack: Pack, signer: Signer) -> tuple[bytes, bytes]:
    """Return README.txt (English) and README.zh-CN.txt."""
    shown = _shown(pack)
    values = {
        "number": pack.subject.number,
        "index": "-" if shown is None else str(shown["index"]),
        "sums": _block(["sha256sum -c SHA256SUMS"]),
        "seal": _block([f"{_VERIFY} -in SHA256SUMS -sigfile SHA256SUMS.sig"]),
        "receipt": _block([] if shown is None else _receipt_commands(pack, shown, signer)),
        "checkpoint": _block([] if shown is None else _checkpoint_commands(pack, shown, signer)),
        "pdf": _block(["pdfsig summary.pdf", "sha256sum manifest.json"]),
    }
    return _EN.format(**values).encode(), _ZH.format(**values).encode()


def ed25519_pem(public_key: bytes) -> bytes:
    """Return a bare Ed25519 public key as PEM, which openssl reads."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _shown(pack: Pack) -> dict[str, Any] | None:
    """The message that the commands are written out for: whole, with a proof, and with ids that a shell takes."""
    for line in pack.evidence:
        plain = all(_PLAIN.fullmatch(line[name]) for name in ("kind", "sender", "message_id"))
        if line["state"] == "whole" and line["proof"] and plain:
            return line
    return None


def _receipt_commands(pack: Pack, line: dict[str, Any], signer: Signer) -> list[str]:
    held = parse_receipt(pack.files[f"{line['folder']}/receipt.json"])
    r = held.receipt
    envelope = "-" if r.envelope_sha256 is None else r.envelope_sha256.hex()
    salt = b"" if r.salt is None else r.salt
    said = f"anxin-evidence/v1\\n{r.kind}\\n{r.sender}\\n{r.message_id}\\n{r.received_utc_ms}\\n"
    said += f"{r.payload_sha256.hex()}\\n{envelope}\\n"
    return [
        f"sha256sum {line['folder']}/payload   # {r.payload_sha256.hex()}",
        f"printf '{said}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:{salt.hex()}   # {r.entry.hex()}",
        f"printf 'anxin-receipt/v1\\n{signer.name}\\n{r.index}\\n{r.entry.hex()}\\n' > receipt.text",
        f"echo {base64.b64encode(held.signature).decode()} | openssl base64 -d -A > receipt.sig",
        f"{_VERIFY} -in receipt.text -sigfile receipt.sig",
    ]


def _checkpoint_commands(pack: Pack, line: dict[str, Any], signer: Signer) -> list[str]:
    name = f"{line['folder']}/proof.txt"
    _, _, signed = pack.files[name].decode().partition("\n\n")
    text, _, lines = signed.partition("\n\n")
    (own,) = [row for row in lines.splitlines() if row.split(" ")[1] == signer.name][:1]
    signature = base64.b64decode(own.rsplit(" ", 1)[1])[4:]
    first = pack.files[name].decode().count("\n", 0, pack.files[name].decode().index("\n\n")) + 3
    last = first + text.count("\n")
    return [
        f"sed -n '{first},{last}p' {name} > checkpoint.text",
        f"echo {base64.b64encode(signature).decode()} | openssl base64 -d -A > checkpoint.sig",
        f"{_VERIFY} -in checkpoint.text -sigfile checkpoint.sig",
    ]


def _block(commands: list[str]) -> str:
    return "".join(f"\n    {line}" for line in commands) + "\n" if commands else ""
