"""What the bench is made of: source, reference standard, pulse counter, each a few questions over SCPI.

Values are whole numbers in the units of the domain (mV, mA, mW, milli-Wh, ms, ppm), which the bench's firmware speaks.
A maker's own dialect needs a subclass; what the runner asks for stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from anxin.domain.errors import InstrumentError
from anxin.instruments.scpi import Scpi


class Source:
    """Voltage and current, from separate circuits where the load is virtual."""

    def __init__(self, scpi: Scpi) -> None:
        self._scpi = scpi

    def identity(self) -> str:
        """Return maker, model, serial number, version."""
        return self._scpi.ask("*IDN?")

    def set(self, voltage_mv: int, current_ma: int, phases: int) -> None:
        """Set the point; it flows once the output is on."""
        self._scpi.tell(f"SOUR:PHAS {phases}")
        self._scpi.tell(f"SOUR:VOLT {voltage_mv}")
        self._scpi.tell(f"SOUR:CURR {current_ma}")

    def output(self, *, on: bool) -> None:
        """Switch the output, and ask whether it is switched."""
        self._scpi.tell(f"OUTP {int(on)}")
        if self.is_on() != on:
            raise InstrumentError("refused", self._scpi.name, f"output is not {'on' if on else 'off'}")

    def is_on(self) -> bool:
        """Whether the output is on."""
        return self._scpi.whole("OUTP?") == (1,)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The reference's own certificate: number, class, U (k = 2, ppm), last moment of validity."""

    serial: str
    accuracy_class: str
    certificate_no: str
    expanded_uncertainty_ppm: int
    valid_to_utc_ms: int


class ReferenceStandard:
    """The standard: what truly flows, its own certificate, its self-test, and where and in what air it stands."""

    def __init__(self, scpi: Scpi) -> None:
        self._scpi = scpi

    def calibration(self) -> Calibration:
        """Return its certificate's data."""
        reply = self._scpi.ask("CAL:CERT?").split(",")
        if len(reply) != 5 or not all(t.strip() for t in reply) or not (reply[3].isdigit() and reply[4].isdigit()):
            raise InstrumentError("broken_reply", self._scpi.name, "CAL:CERT?")
        return Calibration(reply[0], reply[1], reply[2], int(reply[3]), int(reply[4]))

    def drift_ppm(self) -> int:
        """Return how far its self-test is from the one at calibration."""
        return self._scpi.whole("CAL:DRIF?")[0]

    def power_mw(self) -> int:
        """Return the active power of all phases, with its sign."""
        return self._scpi.whole("MEAS:POW?")[0]

    def phase_millidegrees(self) -> int:
        """Return the angle of current behind voltage of the worst phase, 0 for direct current."""
        return self._scpi.whole("MEAS:PHAS?")[0]

    def energy_milli_wh(self) -> int:
        """Return its running energy register."""
        return self._scpi.whole("MEAS:ENER?")[0]

    def constant(self) -> int:
        """Return its pulses per kWh."""
        return self._scpi.whole("PULS:CONS?")[0]

    def air(self) -> tuple[int, int]:
        """Return temperature in thousandths of a degree Celsius and relative humidity in thousandths."""
        temperature, humidity = self._scpi.whole("SENS:AIR?", 2)
        return temperature, humidity

    def position(self) -> tuple[Decimal, Decimal]:
        """Return longitude and latitude (WGS 84, degrees)."""
        longitude, latitude = self._scpi.whole("SENS:POS?", 2)
        return Decimal(longitude) / 1_000_000, Decimal(latitude) / 1_000_000


class PulseCounter:
    """Counts the standard's pulses while the charger gives a number of its own."""

    def __init__(self, scpi: Scpi) -> None:
        self._scpi = scpi

    def begin(self, pulses: int) -> None:
        """Begin with the charger's next pulse and end with the `pulses`-th after it."""
        self._scpi.tell(f"COUN:BEG {pulses}")

    def is_done(self) -> bool:
        """Whether all pulses have come."""
        return self._scpi.whole("COUN:DONE?") == (1,)

    def counts(self) -> tuple[int, int]:
        """Return the charger's pulses and the standard's meanwhile."""
        charger, standard = self._scpi.whole("COUN:DATA?", 2)
        return charger, standard
