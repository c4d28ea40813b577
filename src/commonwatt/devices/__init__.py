"""Behind the meter: what homes' batteries do. Pure; all homes at once."""

from commonwatt.devices.battery import Fleet, Step, curtail, plan, step

__all__ = ["Fleet", "Step", "curtail", "plan", "step"]
