"""How many examples a property is shown. The profile says it: `plain` for each run, `ci` for each commit, `soak`.

A plain run draws the same examples every time, so that whether it passes depends on the code alone. The two others draw
others each time, and print how to draw a failing one again; `.ci/run` takes the seed from the commit, so that every
commit sees examples of its own, and the same ones whenever it is tested. How long an example takes on a busy machine
says nothing about a property, so no profile has a deadline.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_ALWAYS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)


def register() -> None:
    """Make the profiles known; `--hypothesis-profile` chooses another than plain."""
    settings.register_profile("plain", _ALWAYS, max_examples=100, derandomize=True)
    settings.register_profile("ci", _ALWAYS, max_examples=100, derandomize=False)
    settings.register_profile("soak", _ALWAYS, max_examples=5000, derandomize=False)
    settings.load_profile("plain")


def dear(times: int) -> settings:
    """For a property whose example costs as much as `times` usual ones: so many times fewer than the profile's."""
    return settings(max_examples=max(1, settings().max_examples // times))
