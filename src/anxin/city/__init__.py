"""A virtual city: chargers, sealed meters, operators, drivers, and cheats."""
