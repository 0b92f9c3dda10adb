"""Signatures on PDF documents (PAdES B-B, ISO 32000-2 section 12.8): the platform's seal on a summary.

The key is the platform's own. Where no certificate is given by the settings, one is made that the key itself signs: it
shows that two documents have the same signer, and nobody else's word for who that is. An authority that wants its
name on summaries gives a certificate of its own (settings `pack_key_file`, `pack_cert_file`).

A verifier asks for more than the standard does: one signature, over all bytes of the file, with nothing behind it, and
the certificate that it was told to expect.
"""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from anxin.domain.errors import EvidenceError, InputError
from anxin.trust.der import SEQUENCE, read_element
from anxin.trust.vault import write_key

#: A certificate made here holds so long: summaries are looked at as long as a case may be reopened.
VALID_DAYS = 3_650
#: Largest summary whose signature is looked at: forty rows a table are some hundred kilobytes.
MAX_PDF_BYTES = 16 * 1024 * 1024
#: Room for a signature and its certificate chain.
SIGNATURE_BYTES = 16_384
_FIELD = "AnxinSeal"


@dataclass(frozen=True, slots=True)
class PdfSigner:
    """Who seals: certificate and key, as PEM and PKCS 8 DER."""

    certificate_pem: bytes
    key_der: bytes

    def sign(self, pdf: bytes, reason: str) -> bytes:
        """Return the signed PDF. Its signature states the time of signing by this machine's clock."""
        from asn1crypto import keys
        from asn1crypto import x509 as asn1_x509
        from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
        from pyhanko.sign import fields, signers
        from pyhanko_certvalidator.registry import SimpleCertificateStore

        certificate = x509.load_pem_x509_certificate(self.certificate_pem)
        signer = signers.SimpleSigner(
            asn1_x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER)),
            keys.PrivateKeyInfo.load(self.key_der),
            SimpleCertificateStore(),  # type: ignore[no-untyped-call]
        )
        meta = signers.PdfSignatureMetadata(
            field_name=_FIELD, md_algorithm="sha256", reason=reason, subfilter=fields.SigSeedSubFilter.PADES
        )
        out = io.BytesIO()
        pdf_signer = signers.PdfSigner(meta, signer=signer)
        pdf_signer.sign_pdf(
            IncrementalPdfFileWriter(io.BytesIO(pdf)), output=out, bytes_reserved=SIGNATURE_BYTES,
        )  # fmt: skip
        return out.getvalue()


def pdf_signer(secrets_folder: Path, name: str, key_file: str = "", cert_file: str = "") -> PdfSigner:
    """Return the signer of the settings, else that of the data folder, which is made at its first use.

    Raises InputError where a file cannot be read, or key and certificate do not belong together.
    """
    if bool(key_file) != bool(cert_file):
        raise InputError("ANXIN_PACK_KEY_FILE and ANXIN_PACK_CERT_FILE are given together or not at all")
    key_path = Path(key_file) if key_file else secrets_folder / "pack.key.pem"
    cert_path = Path(cert_file) if cert_file else secrets_folder / "pack.cert.pem"
    try:
        if not key_file and not key_path.is_file():
            secrets_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.suppress(FileExistsError):  # another process has made it meanwhile: its key counts
                write_key(key_path, _new_key())
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise InputError(f"{key_path}: a key on an elliptic curve is needed")
        if not cert_file and not cert_path.is_file():
            with contextlib.suppress(FileExistsError):
                write_key(cert_path, _self_signed(key, name))
        pem = cert_path.read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror or error}") from None
    except (ValueError, TypeError):
        raise InputError(f"{key_path}, {cert_path}: not a key and a certificate in PEM") from None
    if certificate.public_key() != key.public_key():
        raise InputError(f"{cert_path} is not the certificate of {key_path}")
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return PdfSigner(certificate.public_bytes(serialization.Encoding.PEM), der)


def verify_pdf(pdf: bytes, certificate_pem: bytes) -> str:
    """Return the text of a PDF's keywords where its one signature is this certificate's over all of its bytes.

    Raises EvidenceError naming what does not hold.
    """
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation import validate_pdf_signature
    from pyhanko_certvalidator import ValidationContext

    if len(pdf) > MAX_PDF_BYTES:
        raise EvidenceError(f"a PDF of more than {MAX_PDF_BYTES} bytes")
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        der = certificate.public_bytes(serialization.Encoding.DER)
        reader = PdfFileReader(io.BytesIO(pdf))
        found = reader.embedded_signatures
        if len(found) != 1:
            raise EvidenceError(f"the PDF has {len(found)} signatures, not one")
        (signature,) = found
        if signature.signer_cert.dump() != der:
            raise EvidenceError("the PDF is signed with another certificate than the one expected")
        context = ValidationContext(trust_roots=[signature.signer_cert], allow_fetching=False)
        status = validate_pdf_signature(signature, context)
        if not (status.intact and status.valid):
            raise EvidenceError("the PDF was altered, or its signature is not its certificate's")
        _whole(pdf, [int(n) for n in signature.byte_range], bytes(signature.pkcs7_content))
        keywords = reader.trailer["/Info"].get("/Keywords", "")
        return str(keywords)
    except EvidenceError:
        raise
    except Exception as error:  # a verifier lets no other exception of a parser for hostile files escape
        raise EvidenceError(f"the PDF cannot be read: {type(error).__name__}") from None


def embedded_certificate(pdf: bytes) -> bytes:
    """Return the certificate (PEM) that a PDF's one signature names: what it says of itself, and no more.

    Raises EvidenceError.
    """
    from pyhanko.pdf_utils.reader import PdfFileReader

    if len(pdf) > MAX_PDF_BYTES:
        raise EvidenceError(f"a PDF of more than {MAX_PDF_BYTES} bytes")
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    try:
        found = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
        if len(found) != 1:
            raise EvidenceError(f"the PDF has {len(found)} signatures, not one")
        certificate = x509.load_der_x509_certificate(found[0].signer_cert.dump())
        return certificate.public_bytes(serialization.Encoding.PEM)
    except EvidenceError:
        raise
    except Exception as error:  # as below: whatever a hostile file brings a parser to
        raise EvidenceError(f"the PDF cannot be read: {type(error).__name__}") from None


def _whole(pdf: bytes, ranges: list[int], content: bytes) -> None:
    """Raise EvidenceError where the signature leaves bytes of the file out that are not its own."""
    first, length, second, rest = ranges
    gap = pdf[length:second]
    _, end = read_element(content, 0, SEQUENCE)
    own = content[:end].hex().encode()
    held = gap[1:-1]
    if first != 0 or second + rest != len(pdf) or gap[:1] != b"<" or gap[-1:] != b">":
        raise EvidenceError("the signature does not cover the whole PDF")
    # Behind the signature its room is filled with zeros: any other byte there, or another case, is no part of it.
    if held != own.ljust(len(held), b"0") and held != own.upper().ljust(len(held), b"0"):
        raise EvidenceError("there is something else where the signature stands")


def certificate_sha256(certificate_pem: bytes) -> str:
    """Return the SHA-256 of a certificate (DER), hex, as readers show it. Raises InputError."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except ValueError:
        raise InputError("not a certificate in PEM") from None
    return certificate.fingerprint(hashes.SHA256()).hex()


def _new_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _self_signed(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, True, False, False, False, False, False, False, False), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
