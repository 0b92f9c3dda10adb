"""ID tokens of OpenID Connect: one answer, the claims, or a FormatError that says which check failed.

Source: OpenID Connect Core 1.0 section 3.1.3.7; RFC 8725 (the algorithm is ours to choose, never the token's).
"""

from __future__ import annotations

from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from anxin.domain.errors import FormatError

#: Signatures by the provider's own key. No `none`, and no HMAC: its key would be our client secret.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
MAX_TOKEN_CHARS = 65_536
#: Clocks of two hosts may differ by as much.
LEEWAY_S = 60
#: A token is made for the login under way; one that is older was kept by somebody.
MAX_AGE_S = 600
_REGISTRY = JWSRegistry(algorithms=list(ALGORITHMS))


class UnknownKeyError(FormatError):
    """None of the provider's keys is the token's: they may have changed."""

    def __init__(self) -> None:
        super().__init__("id_token.key", "the ID token is signed by none of the provider's keys")


def verified_claims(token: str, keys: Any, issuer: str, client_id: str, nonce: str, now_s: int) -> dict[str, Any]:
    """Return the claims of an ID token that is authentic, of this issuer, for this client and this login, and in time.

    `keys` is the provider's JWKS document. Raises FormatError (`id_token.*`), UnknownKeyError.
    """
    if len(token) > MAX_TOKEN_CHARS:
        raise FormatError("id_token.size", "the ID token is too long")
    claims = _signed(token, keys)
    registry = jwt.JWTClaimsRegistry(
        now=now_s, leeway=LEEWAY_S,
        iss={"essential": True, "value": issuer}, sub={"essential": True}, aud={"essential": True, "value": client_id},
        exp={"essential": True}, iat={"essential": True}, nonce={"essential": True, "value": nonce},
    )  # fmt: skip
    try:
        registry.validate(claims)
    except (JoseError, TypeError, ValueError) as error:
        raise FormatError("id_token.claims", f"the ID token does not hold: {type(error).__name__}: {error}") from None
    audience = claims["aud"]
    if isinstance(audience, list) and len(audience) > 1 and "azp" not in claims:
        raise FormatError("id_token.azp", "an ID token for several names the one it was issued to")
    if claims.get("azp", client_id) != client_id:
        raise FormatError("id_token.azp", "the ID token was issued to another client")
    if claims["iat"] < now_s - MAX_AGE_S:
        raise FormatError("id_token.age", "the ID token was made long before this login")
    return claims


def _signed(token: str, keys: Any) -> dict[str, Any]:
    try:
        found = jwt.decode(token, KeySet.import_key_set(_for_signatures(keys)), registry=_REGISTRY)
    except JoseError as error:
        if type(error).__name__ in ("InvalidKeyIdError", "MissingKeyError"):
            raise UnknownKeyError from None
        raise FormatError("id_token.signature", f"the ID token is not authentic: {type(error).__name__}") from None
    except Exception as error:  # a token or key of a shape that the library did not think of
        raise FormatError("id_token.format", f"the ID token cannot be read: {type(error).__name__}") from None
    if not isinstance(found.claims, dict):
        raise FormatError("id_token.format", "an ID token holds an object")
    return found.claims


def _for_signatures(keys: Any) -> Any:
    """Leave out secret and encryption keys: they sign no ID token."""
    listed = keys.get("keys") if isinstance(keys, dict) else None
    if not isinstance(listed, list) or not all(isinstance(key, dict) for key in listed):
        raise FormatError("id_token.keys", "the provider's keys are no JWKS document")
    return {"keys": [key for key in listed if key.get("kty") != "oct" and key.get("use", "sig") == "sig"]}
