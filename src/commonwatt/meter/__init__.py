"""Meters: numbered, signed readings, and the rules by which one is believed.

`slots` makes what a slot counted of a meter's registers, `protocol` is how readings get from a device to the exchange,
and `controller` lets a demanded energy through a relay; that file a device's firmware takes as it is.
"""

from commonwatt.meter.readings import SimulatedMeter, accept

__all__ = ["SimulatedMeter", "accept"]
