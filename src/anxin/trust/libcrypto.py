"""A thin binding to the system's libcrypto (OpenSSL 3) for what `cryptography` lacks: SM2 with SM3, and secp192k1.

`ctypes.CDLL` releases the GIL around a verification. Before the first use the signature of GB/T 32918.5-2017 Annex A is
verified and an altered message refused; where that fails, or no libcrypto is there, `available()` says why and every
verifier answers "cannot judge", never "forged".
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import types
import weakref
from typing import Any

from anxin.domain.errors import AnxinError
from anxin.trust.algorithms import CURVES, OID_EC_PUBLIC_KEY, SM2_CURVE, SM2_SIGNER_ID
from anxin.trust.der import BIT_STRING, INTEGER, OID, SEQUENCE, element, encode_signature

# GB/T 32918.5-2017 Annex A: recommended curve, ID 1234567812345678, message "message digest".
_VECTOR_KEY = bytes.fromhex(
    "0409F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
_VECTOR_R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
_VECTOR_S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
_VECTOR_MESSAGE = b"message digest"


class LibcryptoUnavailableError(AnxinError):
    """The system's libcrypto is absent, too old, or fails the published vector; `str()` says which."""


class LibcryptoRefusedError(AnxinError):
    """libcrypto refuses a key: its point is not on the curve, or the curve is not built in."""


def spki_of(curve_name: str, point: bytes) -> bytes:
    """Return SubjectPublicKeyInfo (RFC 5480) of an X9.62 point on a named curve."""
    algorithm = element(SEQUENCE, element(OID, OID_EC_PUBLIC_KEY) + element(OID, CURVES[curve_name].oid))
    return element(SEQUENCE, algorithm + element(BIT_STRING, b"\0" + point))


class LibcryptoPublicKey:
    """A public key held by libcrypto. Freed with the object; not picklable (send the key's text instead)."""

    def __init__(self, curve_name: str, point: bytes) -> None:
        """Raises LibcryptoUnavailableError, or LibcryptoRefusedError where the point is not on the curve."""
        library = _checked_library() if curve_name == SM2_CURVE else _library()
        self._handle = _load_public(library, spki_of(curve_name, point))
        self._is_sm2 = curve_name == SM2_CURVE
        weakref.finalize(self, library.EVP_PKEY_free, self._handle)

    def verify(self, signature: bytes, message: bytes, hash_name: str) -> bool:
        """Return whether `signature` (strict DER) over `message` is this key's. `hash_name` as hashlib names it."""
        return _verify(_library(), self._handle, signature, message, b"sm3" if self._is_sm2 else hash_name.encode())


class LibcryptoSigningKey:
    """A private key held by libcrypto, made from its scalar. For makers of records (the city, tests)."""

    def __init__(self, curve_name: str, scalar: int) -> None:
        """Raises LibcryptoUnavailableError, LibcryptoRefusedError."""
        library = _checked_library() if curve_name == SM2_CURVE else _library()
        curve = CURVES[curve_name]
        parameters = element(0xA0, element(OID, curve.oid))
        octets = element(0x04, scalar.to_bytes(curve.field_bytes, "big"))
        sec1 = element(SEQUENCE, element(INTEGER, b"\1") + octets + parameters)
        algorithm = element(SEQUENCE, element(OID, OID_EC_PUBLIC_KEY) + element(OID, curve.oid))
        pkcs8 = element(SEQUENCE, element(INTEGER, b"\0") + algorithm + element(0x04, sec1))
        self._handle = _load_private(library, pkcs8)
        self._is_sm2 = curve_name == SM2_CURVE
        weakref.finalize(self, library.EVP_PKEY_free, self._handle)

    def public_spki(self) -> bytes:
        """Return the public key as SubjectPublicKeyInfo."""
        library = _library()
        length = library.i2d_PUBKEY(self._handle, None)
        buffer = ctypes.create_string_buffer(max(length, 0))
        target = ctypes.cast(buffer, ctypes.c_void_p)
        if length <= 0 or library.i2d_PUBKEY(self._handle, ctypes.byref(target)) != length:
            raise LibcryptoRefusedError("libcrypto does not give the public key")
        return buffer.raw

    def sign(self, message: bytes, hash_name: str = "sha256") -> bytes:
        """Return a signature over `message` as strict DER; two calls give two signatures."""
        library = _library()
        digest = library.EVP_get_digestbyname(b"sm3" if self._is_sm2 else hash_name.encode())
        context, owner = _digest_context(library, self._handle)
        try:
            length = ctypes.c_size_t(512)
            buffer = ctypes.create_string_buffer(512)
            if (
                library.EVP_DigestSignInit(context, None, digest, None, self._handle) != 1
                or library.EVP_DigestSign(context, buffer, ctypes.byref(length), message, len(message)) != 1
            ):
                raise LibcryptoRefusedError("libcrypto does not sign with this key")
            return buffer.raw[: length.value]
        finally:
            _free_context(library, context, owner)


@functools.cache
def available() -> str | None:
    """Return None where SM2 can be used, else one sentence that says why not."""
    try:
        library = _library()
        handle = _load_public(library, spki_of(SM2_CURVE, _VECTOR_KEY))
    except AnxinError as error:
        return str(error)
    signature = encode_signature(_VECTOR_R, _VECTOR_S)
    try:
        good = _verify(library, handle, signature, _VECTOR_MESSAGE, b"sm3")
        bad = _verify(library, handle, signature, _VECTOR_MESSAGE + b".", b"sm3")
    finally:
        library.EVP_PKEY_free(handle)
    return None if good and not bad else "libcrypto fails the SM2 vector of GB/T 32918.5-2017 Annex A"


def _checked_library() -> Any:
    reason = available()
    if reason is not None:
        raise LibcryptoUnavailableError(reason)
    return _library()


@functools.cache
def _library() -> Any:
    """Return the loaded library with its prototypes. Typed loosely: ctypes knows its functions at run time only."""
    names = ["libcrypto.so.3", "libcrypto.3.dylib", ctypes.util.find_library("crypto") or ""]
    for name in filter(None, names):
        try:
            return _declared(ctypes.CDLL(name), ctypes.PyDLL(name))
        except (OSError, AttributeError):
            continue
    raise LibcryptoUnavailableError("no libcrypto of OpenSSL 3 was found on this system")


#: What takes long and so leaves the GIL. The rest takes microseconds: to take the GIL again would take longer, where
#: other threads wait for it.
_LONG = {"EVP_DigestVerify", "EVP_DigestSign"}


def _declared(free: Any, holding: Any) -> Any:
    """Return the functions with their prototypes: from `free`, which leaves the GIL, those of _LONG alone."""
    pointer, size, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
    prototypes: dict[str, tuple[Any, list[Any]]] = {
        "d2i_PUBKEY": (pointer, [pointer, pointer, ctypes.c_long]),
        "i2d_PUBKEY": (ctypes.c_int, [pointer, pointer]),
        "d2i_AutoPrivateKey": (pointer, [pointer, pointer, ctypes.c_long]),
        "EVP_PKEY_free": (None, [pointer]),
        "EVP_MD_CTX_new": (pointer, []),
        "EVP_MD_CTX_free": (None, [pointer]),
        "EVP_PKEY_CTX_new": (pointer, [pointer, pointer]),
        "EVP_PKEY_CTX_free": (None, [pointer]),
        "EVP_PKEY_CTX_set1_id": (ctypes.c_int, [pointer, text, ctypes.c_int]),
        "EVP_MD_CTX_set_pkey_ctx": (None, [pointer, pointer]),
        "EVP_get_digestbyname": (pointer, [text]),
        "EVP_DigestVerifyInit": (ctypes.c_int, [pointer, pointer, pointer, pointer, pointer]),
        "EVP_DigestVerify": (ctypes.c_int, [pointer, text, size, text, size]),
        "EVP_DigestSignInit": (ctypes.c_int, [pointer, pointer, pointer, pointer, pointer]),
        "EVP_DigestSign": (ctypes.c_int, [pointer, pointer, pointer, text, size]),
        "EVP_PKEY_is_a": (ctypes.c_int, [pointer, text]),
        "ERR_clear_error": (None, []),
    }
    functions = {}
    for name, (result, arguments) in prototypes.items():
        function = getattr(free if name in _LONG else holding, name)
        function.restype, function.argtypes = result, arguments
        functions[name] = function
    return types.SimpleNamespace(**functions)


def _load_public(library: Any, spki: bytes) -> int:
    return _load(library, library.d2i_PUBKEY, spki)


def _load_private(library: Any, pkcs8: bytes) -> int:
    return _load(library, library.d2i_AutoPrivateKey, pkcs8)


def _load(library: Any, function: Any, der: bytes) -> int:
    buffer = ctypes.create_string_buffer(der, len(der))
    source = ctypes.cast(buffer, ctypes.c_void_p)
    handle = function(None, ctypes.byref(source), len(der))
    library.ERR_clear_error()
    if not handle:
        raise LibcryptoRefusedError("libcrypto refuses the key: not on the curve, or the curve is not built in")
    return int(handle)


def _digest_context(library: Any, handle: int) -> tuple[int, int | None]:
    """Return a digest context for the key, and the key context that it needs where the key is SM2."""
    context = library.EVP_MD_CTX_new()
    if not library.EVP_PKEY_is_a(handle, b"SM2"):
        return context, None
    owner = library.EVP_PKEY_CTX_new(handle, None)
    library.EVP_PKEY_CTX_set1_id(owner, SM2_SIGNER_ID, len(SM2_SIGNER_ID))
    library.EVP_MD_CTX_set_pkey_ctx(context, owner)
    return context, owner


def _free_context(library: Any, context: int, owner: int | None) -> None:
    library.EVP_MD_CTX_free(context)
    if owner is not None:
        library.EVP_PKEY_CTX_free(owner)


def _verify(library: Any, handle: int, signature: bytes, message: bytes, hash_name: bytes) -> bool:
    digest = library.EVP_get_digestbyname(hash_name)
    context, owner = _digest_context(library, handle)
    try:
        if library.EVP_DigestVerifyInit(context, None, digest, None, handle) != 1:
            raise LibcryptoUnavailableError(f"libcrypto cannot verify with {hash_name.decode()}")
        return bool(library.EVP_DigestVerify(context, signature, len(signature), message, len(message)) == 1)
    finally:
        _free_context(library, context, owner)
        library.ERR_clear_error()
