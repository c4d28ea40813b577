"""The packages that a living exchange needs beside those of the core: the extra `live`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from commonwatt.errors import ConfigError, Finding

INSTALL: Final = 'pip install "commonwatt[live]"'
_NAMES: Final = (
    "aiomqtt", "cryptography", "fastapi", "gmqtt", "httpx", "prometheus_client", "starlette", "uvicorn", "websockets",
)  # fmt: skip


def missing() -> list[str]:
    """Those that are not installed."""
    return [name for name in _NAMES if find_spec(name) is None]


def require() -> None:
    """Raise ConfigError where one is not installed."""
    if missing():
        raise ConfigError("The request", [Finding("", f"needs further packages; install them: {INSTALL}")])
