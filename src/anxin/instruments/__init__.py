"""The bench's instruments: drivers that speak to sockets, and simulated ones that speak the same protocols.

Everything that an instrument does not say, or says wrongly, is an `InstrumentError`; nothing is asked twice or guessed.
"""
