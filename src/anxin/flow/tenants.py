"""The tenant of the request in hand, for the faces to set: every transaction of it is bound to his rows."""

from __future__ import annotations

from anxin.store.database import TENANT, Tenant

__all__ = ["TENANT", "Tenant", "bind"]


def bind(tenant: str) -> None:
    """Bind the request in hand to a tenant. Called where the caller was found out, once."""
    request = TENANT.get()
    if request is not None:
        request.name = tenant
