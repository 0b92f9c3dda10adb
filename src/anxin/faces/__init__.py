"""Thin ASGI apps: a handler parses, calls one use case, renders. No rule, no limit and no SQL stands here."""
