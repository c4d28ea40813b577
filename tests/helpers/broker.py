"""The broker as a box runs it: behind TLS, and for those alone whom its plugin dynamic-security knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from services import Mosquitto

_PLUGINS = sorted(Path("/usr/lib").glob("**/mosquitto_dynamic_security.so"))


class Guarded(Mosquitto):
    """Reads broker.pem, broker.key, ca.pem and the plugin's users.json from its folder, once it is started."""

    def __init__(self) -> None:
        super().__init__()
        if not _PLUGINS:
            pytest.skip("Mosquitto's plugin dynamic-security is not installed")
        told = [f"listener {self.port} 127.0.0.1", "allow_anonymous false"]
        told += [f"cafile {self.folder}/ca.pem", f"certfile {self.folder}/broker.pem"]
        told += [f"keyfile {self.folder}/broker.key"]
        told += [f"plugin {_PLUGINS[0]}", f"plugin_opt_config_file {self.folder}/users.json"]
        (self.folder / "mosquitto.conf").write_text("\n".join(told) + "\n", encoding="utf-8")
