"""uvicorn's protocol of HTTP, which lets go of those who do not read, such as pages that hear events and sleep."""

from __future__ import annotations

from uvicorn.protocols.http.h11_impl import H11Protocol

from commonwatt.ledger.rpc.patience import Patient


class HttpProtocol(Patient, H11Protocol):
    """Ends a connection whose buffer has been full for too long."""
