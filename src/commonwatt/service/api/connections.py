"""uvicorn's protocol of HTTP, which lets go of those who do not send, or do not read, such as pages that sleep."""

from __future__ import annotations

from commonwatt.ledger.network.connections import Connection


class HttpProtocol(Connection):
    """One client's, as at a node; there is room for all pages that may listen, and for others beside them.

    With its files the process stays below its usual 1 024.
    """

    most = 768
