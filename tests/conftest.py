"""Properties are about results: how long an example takes on a busy machine says nothing about them.

A run draws the same examples every time, so that whether it passes depends on the code alone. `make soak` draws others.
"""

from hypothesis import HealthCheck, settings

_ALWAYS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("commonwatt", _ALWAYS, derandomize=True)
settings.register_profile("soak", _ALWAYS, print_blob=True)
settings.load_profile("commonwatt")
