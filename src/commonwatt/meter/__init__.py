"""Meters: numbered, signed readings, and the rules by which one is believed."""

from commonwatt.meter.readings import SimulatedMeter, accept

__all__ = ["SimulatedMeter", "accept"]
