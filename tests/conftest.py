"""Fixtures that several rooms share, how many examples properties are shown, and where files of tests lie."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from acting_cases import later as later
from acting_cases import place as place
from cheated_day import cheat as cheat
from cheated_day import noon as noon
from cheated_day import pooled as pooled
from cheated_day import two_left as two_left
from commands import Commands
from controller_cases import in_micropython as in_micropython
from exchange_runs import bills as bills
from exchange_runs import dishonest as dishonest
from exchange_runs import finished as finished
from exchange_runs import forks as forks
from exchange_runs import founded as founded
from exchange_runs import run as run
from exchange_runs import unanchored as unanchored
from firmware_cases import errands as errands
from firmware_cases import firmware as firmware
from month_cases import october_by as october_by
from month_cases import octobers as octobers
from plant_owners import shared as shared
from plant_owners import shared_day as shared_day
from profiles import register
from report_runs import large as large
from report_runs import nasty as nasty
from report_runs import silent as silent
from report_runs import small as small
from report_runs import week as week
from report_runs import with_ledger as with_ledger
from services import mosquitto as mosquitto
from services import postgres as postgres
from shell import said as said
from stopped_days import struck as struck
from two_worlds import false_world as false_world
from two_worlds import made_up as made_up
from two_worlds import own_world as own_world

register()

MEMORY = Path("/dev/shm")  # noqa: S108


def roomy(folder: Path) -> bool:
    """Whether files can be written and run there, and those of all tests find room."""
    runs = os.access(folder, os.W_OK) and not os.statvfs(folder).f_flag & os.ST_NOEXEC
    return runs and shutil.disk_usage(folder).free > 2**32


# Chains and stores wait for the disk at each commit; what tests keep in them need not outlive the machine.
if "TMPDIR" not in os.environ and roomy(MEMORY):
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """Starts commands as processes of their own."""
    made = Commands()
    yield made
    made.close()


@pytest.fixture(scope="session", autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What commands in processes of their own believe of bills stays among the tests."""
    os.environ["COMMONWATT_STATE"] = str(tmp_path_factory.mktemp("state"))
