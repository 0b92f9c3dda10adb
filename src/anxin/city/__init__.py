"""A virtual city: chargers, sealed meters, operators, drivers, honest mess and cheats.

It reaches the platform through the same doors as anyone: files in the public dialects. Nothing but flow and cli
reads this package, and it reads nothing of the platform but the domain's words.

    options ─▶ world (places, tariffs, chargers, meters) ─▶ plan (sessions as arrays) ─▶ mess ─▶ cheats ─▶ registers
                                                                │
                       tables (orders and records of a chunk) ◀─┘──▶ tamper ─▶ writers: wire | columns, truth
"""
