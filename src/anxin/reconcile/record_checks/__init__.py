"""Checks on the judged records of one transaction, in plain Python: `anxin check` and the import of an audit share them.

Each module exports `CAUSES` and `on_record(transaction, policy)`; the rule of the same number takes both up. Findings
rest on records by the SHA-256 of their payloads (`record_ids`), so that the caller may put the session's id instead.
"""
