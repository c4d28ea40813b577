"""Properties are about results: how long an example takes on a busy machine says nothing about them."""

from hypothesis import settings

settings.register_profile("commonwatt", deadline=None)
settings.load_profile("commonwatt")
