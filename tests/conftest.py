"""Properties are about results: how long an example takes on a busy machine says nothing about them.

A run draws the same examples every time, so that whether it passes depends on the code alone. `make soak` draws others.
"""

from exchange_runs import bills as bills
from exchange_runs import finished as finished
from exchange_runs import founded as founded
from exchange_runs import run as run
from exchange_runs import unanchored as unanchored
from hypothesis import HealthCheck, settings
from report_runs import large as large
from report_runs import nasty as nasty
from report_runs import silent as silent
from report_runs import small as small
from report_runs import week as week
from report_runs import with_ledger as with_ledger

_ALWAYS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("commonwatt", _ALWAYS, derandomize=True)
settings.register_profile("soak", _ALWAYS, print_blob=True)
settings.load_profile("commonwatt")
