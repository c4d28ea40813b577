"""Properties are about results: how long an example takes on a busy machine says nothing about them."""

from hypothesis import HealthCheck, settings

settings.register_profile("commonwatt", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("commonwatt")
