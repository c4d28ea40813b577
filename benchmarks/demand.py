"""How long a relay takes to obey its owner: `python benchmarks/demand.py`; JSON on stdout, some two minutes.

`commonwatt serve` plays the village at the speed of the world, with its chain and its broker, each a process of its
own; one home's meter is the firmware under MicroPython's unix port. The owner, who has signed in, demands over HTTP;
the clock on the wall runs from there until the relay's pin changes, over the store, the operator's signature, the
broker and the check of the signature in the meter. Each round closes the relay and opens it again. An ESP32 takes for
the check alone some 100 times as long (`firmware.py`).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from _measure import ROOT, show

from commonwatt.exchange.loading import load
from commonwatt.proof import Domain, Key, keccak
from commonwatt.proof.siwe import SignIn
from commonwatt.records.schema import to_bytes
from commonwatt.service.broker import SECRET
from commonwatt.service.logins import Passwords
from commonwatt.service.ports import ports
from commonwatt.service.topics import name
from commonwatt.simulation.keys import simulated_keys

sys.path.insert(0, str(ROOT / "tools"))
import build_firmware

ROUNDS: Final = 90
"""An account asks some 200 times before it has to wait."""
AT_MOST_MS: Final = 250
VILLAGE: Final = ROOT / "examples" / "village.toml"
DEMO: Final = ["--port", "0", "--demo-clock", "1", "--start", "2026-06-15"]
SERVE: Final = [sys.executable, "-m", "commonwatt.cli", "serve", str(VILLAGE), *DEMO]
PIN: Final = "        self.on = on\n"
"""What the firmware does where there is no board; here it says so as well."""
PATIENCE: Final = 300.0


async def main() -> None:
    """Measure and print."""
    keys = simulated_keys(load(VILLAGE))
    owner, meter = next((owner, meter) for owner, meter in zip(keys.members, keys.meters, strict=True) if meter)
    # The broker's user has to be able to enter.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        out = Path(folder) / "served"
        async with running([*SERVE, "--dir", str(out)], ROOT) as served:
            url = (await said(served, "is served at")).split()[-1]
            async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
                client.headers["Authorization"] = f"Bearer {await token(client, owner)}"
                home = await wired(Path(folder) / "meter", client, meter, keys.operators[0], out)
                micropython = [str(Path(sys.executable).with_name("micropython")), "main.py"]
                async with running(micropython, home) as device:
                    await demanded(client, device, 1_000)
                    await demanded(client, device, 0)
                    taken = [await demanded(client, device, wh) for wh in (1_000, 0) * ROUNDS]
    figures = {"close": figure(taken[::2]), "open": figure(taken[1::2])}
    load_average = float(f"{os.getloadavg()[0]:.2f}")
    show({"runs": ROUNDS, "milliseconds": figures, "load": load_average, "at_most": {"p99": AT_MOST_MS}}, "gmqtt")


async def demanded(client: httpx.AsyncClient, device: Process, wh: int) -> float:
    """Demand at an instant that the meter does not foresee; until the relay obeys [ms]."""
    await asyncio.sleep(random.uniform(0.1, 0.4))  # noqa: S311
    now = (await client.get("/v1/community")).json()["now"]
    begun = time.perf_counter()
    answer, _ = await asyncio.gather(
        client.post("/v1/me/demands", json={"wh": wh, "until": now + 600}),
        said(device, f"relay {wh > 0}"),
    )
    taken = time.perf_counter()
    if not answer.is_success:
        sys.exit(answer.text)
    return (taken - begun) * 1000


def figure(taken: list[float]) -> dict[str, float]:
    """Median, 99th percentile and worst [ms]."""
    cuts = statistics.quantiles(taken, n=100, method="inclusive")
    return {name: float(f"{value:.3g}") for name, value in (("p50", cuts[49]), ("p99", cuts[98]), ("max", max(taken)))}


async def token(client: httpx.AsyncClient, owner: Key) -> str:
    """The owner signs in."""
    given = (await client.post("/v1/session/nonce")).json()
    place = f"localhost:{client.base_url.port}"
    message = str(SignIn(
        place, owner.address, f"http://{place}", given["chainId"], given["nonce"], given["issuedAt"],
        statement="Sign in to Commonwatt.", expiration_time=given["expirationTime"],
    )).encode()  # fmt: skip
    signature = owner.sign_digest(keccak(b"\x19Ethereum Signed Message:\n%d" % len(message) + message))
    body = {"message": message.decode(), "signature": f"0x{signature.hex()}", "use": "token"}
    return str((await client.post("/v1/session", json=body)).json()["token"])


async def wired(home: Path, client: httpx.AsyncClient, meter: Key, operator: Key, out: Path) -> Path:
    """The firmware with its configuration, as an installer leaves it, and a relay that says what it does."""
    build_firmware.build(home)
    main_file, community = home / "main.py", (await client.get("/v1/community")).json()
    firmware = main_file.read_text("utf-8")
    if PIN not in firmware:
        sys.exit("The firmware closes its relay elsewhere.")
    main_file.write_text(firmware.replace(PIN, PIN + '        print("relay", on)\n'), "utf-8")
    domain = Domain(community["chainId"], to_bytes(community["settlement"], 20))
    user = name(meter.address)
    broker: dict[str, Any] = {"host": "127.0.0.1", "port": ports(out)["broker"], "user": user}
    config = {
        "separator": domain.separator.hex(),
        "operators": [operator.address.hex()],
        "slot_seconds": community["slotSeconds"],
        "broker": {**broker, "password": Passwords.kept(out / SECRET).of(user)},
    }
    (home / "config.json").write_text(json.dumps(config), "utf-8")
    (home / "secret").write_bytes(meter.secret)
    return home


@asynccontextmanager
async def running(command: list[str], folder: Path) -> AsyncIterator[Process]:
    """A process, which ends with this."""
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE)
    try:
        yield process
    finally:
        process.terminate()
        await process.communicate()


async def said(process: Process, what: str) -> str:
    """The next line with this on a process's standard output."""
    async with asyncio.timeout(PATIENCE):
        while process.stdout and (line := (await process.stdout.readline()).decode()):
            if what in line:
                return line
    raise SystemExit(f"The process ended before it said '{what}'.")


if __name__ == "__main__":
    asyncio.run(main())
