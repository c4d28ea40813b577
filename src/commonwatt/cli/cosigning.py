"""The command of an operator that signs elsewhere than where its exchange is served. Heavy imports are inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from commonwatt.errors import ConfigError, Finding
from commonwatt.plain import plain
from commonwatt.service.packages import require


def cosign(
    url: str,
    *,
    key: Path,
    out: Annotated[Path, Parameter(name="--dir")] = Path("cosigned"),
    community: Path | None = None,
    ledger: str | None = None,
    authority: Path | None = None,
) -> None:
    """Sign with your operator's key what an exchange elsewhere decides, as far as you come to the same.

    It goes the steps of each gate, slot and month once more, with what members and meters signed and what the ledger
    says, and signs what is the same byte for byte. What differs is told in one sentence and not signed.

    Example: commonwatt cosign https://box.local:8443 --key operator.key --dir cosigned --authority authority.pem

    Parameters
    ----------
    url
        Where the exchange is served.
    key
        File with your operator's key.
    out
        Folder of what you have signed, which goes on with what it holds; it has orders and readings of all members.
    community
        Your own copy of the community file, beside the files that it names; community.toml in --dir unless told.
    ledger
        URL of your own node; the one that the exchange names unless told.
    authority
        Certificate of the authority that certified the exchange.
    """
    require()
    import asyncio

    from commonwatt.exchange.loading import load
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.proof import checksum_address
    from commonwatt.service.cosigning import Setting
    from commonwatt.service.cosigning import cosign as sign
    from commonwatt.service.logs import set_up

    findings = []
    if not url.startswith(("http://", "https://")):
        findings.append(Finding("url", f"begins with http:// or https://, not '{url}'"))
    if ledger is not None and not ledger.startswith(("http://", "https://")):
        findings.append(Finding("ledger", f"begins with http:// or https://, not '{ledger}'"))
    if findings:
        raise ConfigError("The request", findings)
    file = community or out / "community.toml"
    setting = Setting(url, authority, read_key(key), file, load(file), out, ledger)
    set_up()

    def started(contract: bytes, node: str) -> None:
        print(f"{plain(setting.loaded.name)}: signing for the contract {checksum_address(contract)}", flush=True)
        print(f"The ledger is asked at {plain(node)}", flush=True)

    asyncio.run(sign(setting, started))
