"""The real services that a living exchange has beside it, each started for the tests that need it.

They come with Debian's packages; `tools/services` looks for them, or installs them where it may. A test whose service
is missing is left out, unless all are asked for (CI or COMMONWATT_ALL_TESTS in the environment): then it fails.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import pytest
from node_processes import free_port

_ALL: Final = ("CI", "COMMONWATT_ALL_TESTS")
_SECONDS: Final = 30.0
"""How long a service may take to start."""
