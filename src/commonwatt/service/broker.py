"""Mosquitto as the meters' broker: its files in a folder of their own, and the program as a child of this one.

Started by root, Mosquitto goes on as the user `mosquitto`, whose files must be these. What it keeps of sessions and
messages is a convenience: it drops without a word what its queues do not hold, so nothing here relies on them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from commonwatt.community.living import OFF, LiveChoice, endpoint
from commonwatt.errors import BrokerError, ConfigError, Finding, OutputError
from commonwatt.ledger.keyfile import create
from commonwatt.service.certificates import AUTHORITY
from commonwatt.service.connection import Connection
from commonwatt.service.logins import CONTROL, EXCHANGE, Passwords, access_file

CONFIGURATION: Final = "mosquitto.conf"
ACCESS: Final = "dynamic-security.json"
SECRET: Final = "broker.secret"  # noqa: S105
_SESSIONS: Final = "mosquitto.db"
_LOG: Final = "mosquitto.log"
_USER: Final = "mosquitto"
_PROGRAMS: Final = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
_PLUGIN: Final = "mosquitto_dynamic_security.so"
_LIBRARIES: Final = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/opt/homebrew/lib")
_START_SECONDS: Final = 60.0
"""How long it may take to listen, on a machine that has much else to do."""
_STOP_SECONDS: Final = 20.0

# A message of 100 readings has 35 kB. The queue of the exchange holds what 1 000 homes send in some minutes.
_LIMITS: Final = """\
max_packet_size 131072
max_queued_messages 20000
max_queued_bytes 16777216
max_inflight_messages 1000
persistent_client_expiration 14d
"""


@dataclass(frozen=True)
class Listener:
    """Where the broker listens.

    host : address of an interface, or "0.0.0.0" for all
    certificate, key : files of the server's certificate and key; both None only on this machine's own address
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    @property
    def place(self) -> str:
        """As errors name it."""
        return f"{self.host}:{self.port}"


class Broker:
    """A broker in a folder.

    folder : of the broker alone; made when it is not there
    secret : file that all passwords follow from, beside the folder unless told otherwise

    Raises ConfigError for a listener that others could overhear, and when Mosquitto or its plugin is not installed.
    """

    def __init__(self, folder: Path, listener: Listener, secret: Path | None = None) -> None:
        if listener.certificate is None and not _own(listener.host):
            raise _wrong("listens to other machines and has no certificate, so passwords could be overheard")
        if (listener.certificate is None) != (listener.key is None):
            raise _wrong("has a certificate and a key, or neither")
        self.folder, self.listener = folder.resolve(), listener
        self._program, self._plugin = installed()
        self._secret = secret or self.folder.parent / SECRET
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self, meters: Iterable[bytes] = ()) -> bool:
        """Write what Mosquitto reads, and tell whether it now knows these meters [addresses] and no others.

        Who may come is left as it is where that can be read, for the plugin keeps it; it is written anew when it is
        missing or damaged, as after a power cut: without it Mosquitto starts and lets nobody in.
        Raises ConfigError and OutputError.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._hand_over(self.folder, 0o700)
            if os.geteuid() == 0:  # its user has to come through, and sees nothing there
                above = self.folder.parent
                above.chmod(above.stat().st_mode | stat.S_IXOTH)
            anew = not _readable(self.folder / ACCESS)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be used: {error.strerror}.") from None
        passwords = Passwords.kept(self._secret)
        self._write(CONFIGURATION, self._configuration())
        self.renew()
        if anew:
            self._write(ACCESS, access_file(passwords, meters))
        return anew

    def renew(self) -> None:
        """Take over the certificate and key as they are now; a running broker shows them to whom comes next.

        Raises ConfigError when they cannot be read, OutputError when they cannot be copied.
        """
        for name, source in (("server.pem", self.listener.certificate), ("server.key", self.listener.key)):
            if source is not None:
                self._write(name, _text(source))
        if self.running:
            os.kill(self.pid, signal.SIGHUP)

    def command(self) -> list[str]:
        """What starts it, here or in another's hands."""
        return [self._program, "-c", str(self.folder / CONFIGURATION)]

    def connection(self, user: str = EXCHANGE.name, authority: Path | None = None) -> Connection:
        """How a user comes to it from this machine; authority : who certified the listener's certificate."""
        host = "127.0.0.1" if self.listener.host in ("0.0.0.0", "") else self.listener.host  # noqa: S104
        password = Passwords.kept(self._secret).of(user)
        return Connection(host, self.listener.port, user, password, authority)

    def control(self, authority: Path | None = None) -> Connection:
        """How `access.Access` comes to it."""
        return self.connection(CONTROL.name, authority)

    @property
    def passwords(self) -> Passwords:
        """Of all who come to it."""
        return Passwords.kept(self._secret)

    @property
    def pid_file(self) -> Path:
        """Where whoever starts it by its `command` writes its number."""
        return self.folder.with_suffix(".pid")

    def end_stray(self) -> None:
        """End one of this folder that was left alone when whoever had started it was killed."""
        try:
            pid = int(self.pid_file.read_text("ascii"))
            told = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return
        if str(self.folder / CONFIGURATION).encode() not in told:
            return  # the number is another process's by now
        deadline = time.monotonic() + _STOP_SECONDS
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            while time.monotonic() < deadline:
                os.kill(pid, 0)
                time.sleep(0.02)
            os.kill(pid, signal.SIGKILL)

    @property
    def running(self) -> bool:
        """Whether it was started here and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process that was started here, 0 when there is none."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start it and wait until it listens; of one that runs nothing is changed.

        Sessions that it cannot read are put aside. Raises BrokerError when it does not start.
        """
        if self.running:
            return
        self._require_free()
        try:
            self._start()
        except BrokerError as error:
            kept = self.folder / _SESSIONS
            if "database" not in str(error) or not kept.exists():
                raise
            kept.replace(kept.with_suffix(".damaged"))
            self._start()

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without a word to anybody."""
        self._end(signal.SIGKILL)

    def _start(self) -> None:
        log, place = self.folder / _LOG, self.listener.place
        with log.open("wb") as told:
            self._process = subprocess.Popen(self.command(), stdout=told, stderr=told, stdin=subprocess.DEVNULL)  # noqa: S603
        deadline = time.monotonic() + _START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise BrokerError(place, f"Mosquitto does not start on {place}: {_last(log) or 'it says nothing'}")
            time.sleep(0.02)
        # With a file that it cannot read the plugin lets nobody in, and Mosquitto goes on.
        if "rror loading" in (said := _last(log)):
            self.kill()
            files = f"its files in {self.folder}; its user has to be able to enter every folder above"
            raise BrokerError(place, f"Mosquitto cannot use {files}: {said}")

    def _listens(self) -> bool:
        try:
            connection = self.connection()
            socket.create_connection((connection.host, connection.port), 1).close()
        except OSError:
            return False
        return True

    def _require_free(self) -> None:
        """Who else listens there would be taken for the broker."""
        try:
            socket.create_server((self.listener.host, self.listener.port)).close()
        except OSError as error:
            sentence = f"Mosquitto cannot listen on {self.listener.place}: {error.strerror}."
            raise BrokerError(self.listener.place, sentence) from None

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _configuration(self) -> str:
        told = [f"listener {self.listener.port} {self.listener.host}".rstrip()]
        if self.listener.certificate is not None:
            told += [f"certfile {self.folder / 'server.pem'}", f"keyfile {self.folder / 'server.key'}"]
            told += ["tls_version tlsv1.2"]
        # With identifiers of their own choice, a meter could take another's, whose connection the broker then ends.
        told += ["use_username_as_clientid true", "allow_anonymous false"]
        told += [f"plugin {self._plugin}", f"plugin_opt_config_file {self.folder / ACCESS}"]
        # A demand is not held back to be sent with more.
        told += ["set_tcp_nodelay true"]
        told += ["persistence true", f"persistence_location {self.folder}/"]
        if (closed := self._closed()) is not None:
            if not _own(self.listener.host):
                raise _wrong(f"runs as the user {_USER}, who cannot enter {closed}; run: chmod o+x {closed}")
            told += ["user root"]  # nobody but this machine reaches it
        told += ["log_dest stderr", "log_type error", "log_type warning", "sys_interval 0"]
        return "\n".join(told) + f"\n{_LIMITS}"

    def _closed(self) -> Path | None:
        """The first folder above its own that its user cannot enter, where that is another one than this process's."""
        if os.geteuid():
            return None
        above = reversed(self.folder.parents)
        return next((folder for folder in above if not folder.stat().st_mode & stat.S_IXOTH), None)

    def _write(self, name: str, text: str) -> None:
        """A file that is there as a whole or not at all, and that only the broker reads."""
        written = self.folder / f"{name}.written"
        try:
            written.unlink(missing_ok=True)
            create(written, text, 0o600)
            self._hand_over(written, 0o600)
            written.replace(self.folder / name)
        except OSError as error:
            raise OutputError(f"{self.folder / name} cannot be written: {error.strerror}.") from None

    def _hand_over(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        if os.geteuid() == 0:
            try:
                entry = pwd.getpwnam(_USER)
            except KeyError:
                raise _wrong(f"runs as the user {_USER}, whom this machine does not have") from None
            os.chown(path, entry.pw_uid, entry.pw_gid)


def installed() -> tuple[str, Path]:
    """Mosquitto's program, and its plugin that lets users in. Raises ConfigError where one is not there."""
    return _program(), _plugin()


def _wrong(message: str) -> ConfigError:
    return ConfigError("The exchange's configuration", [Finding("live.broker", message)])


def _own(host: str) -> bool:
    """Whether what is sent to this host stays on this machine."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def _readable(path: Path) -> bool:
    """Whether the plugin can read a file of its own. Raises OSError when this process may not."""
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return isinstance(document, dict) and all(isinstance(document.get(key), list) for key in ("clients", "roles"))


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, ValueError) as error:
        raise _wrong(f"cannot read {path}: {getattr(error, 'strerror', 'it is no PEM file')}") from None


def _last(log: Path) -> str:
    """The last line that Mosquitto wrote, without its time; "" when there is none."""
    lines = log.read_text("utf-8", errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    time_of, _, rest = said.partition(": ")
    return rest if time_of.isdigit() else said


def _program() -> str:
    found = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), *_PROGRAMS]))
    if found is None:
        raise _wrong("is Mosquitto, which is not installed; on Debian: apt install mosquitto")
    return found


def _plugin() -> Path:
    for folder in map(Path, _LIBRARIES):
        for path in (folder / _PLUGIN, *sorted(folder.glob(f"*/{_PLUGIN}"))):
            if path.is_file():
                return path
    raise _wrong(f"needs Mosquitto's plugin {_PLUGIN}, which is not in {', '.join(_LIBRARIES)}")


def own_broker(
    live: LiveChoice, folder: Path, out: Path, place: tuple[str, int] | None = None
) -> tuple[Broker | None, Path | None]:
    """The broker of the exchange in `out`, and the file of who certified it; None where the community wants none.

    folder : of the community's file; place : where it listens; as [live] says unless told
    Raises ConfigError, as `Broker`.
    """
    if live.broker == OFF:
        return None, None
    certificate, key = (folder / name if name else None for name in (live.certificate, live.key))
    # A box's own authority is beside its certificate; one without is its own.
    beside = certificate.with_name(AUTHORITY) if certificate else None
    authority = beside if beside and beside.exists() else certificate
    return Broker(out / "broker", Listener(*(place or endpoint(live.broker)), certificate, key)), authority
