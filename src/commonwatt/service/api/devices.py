"""What operators ask of devices that the exchange signs for: whether they are heard, and what is understood of them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response

from commonwatt.accounts.document import hex_text
from commonwatt.meter.telegrams import preview
from commonwatt.service.api.answers import as_json
from commonwatt.service.api.callers import Operator
from commonwatt.service.api.operators_models import DevicesTold
from commonwatt.service.api.problems import responses
from commonwatt.service.running import Running
from commonwatt.service.signing import Watch


def add(app: FastAPI, running: Running) -> None:
    """Add the routes."""

    @app.get(
        "/v1/operators/devices", tags=["operators"], response_model=DevicesTold, responses=responses(401, 403, 503),
        summary="Devices that cannot sign, and what is understood of them.",
    )  # fmt: skip
    async def devices(_: Operator) -> Response:
        """As the box reads them: look at unit, sign and samples before a device's meter is registered for a member."""
        return as_json({"devices": [_told(watch) for watch in running.watches.values()]})


def _told(watch: Watch) -> dict[str, Any]:
    kept, understood = watch.kept, preview(watch.device.reader, list(watch.shown))
    last = understood.last
    return {
        "meter": hex_text(watch.device.meter),
        "driver": watch.device.driver,
        "where": watch.device.where,
        "since": watch.since,
        "heardAt": kept.heard // 1000 or None,
        "trouble": watch.trouble or None,
        "notUnderstood": watch.watched.complaint or None,
        "slotsDue": len(kept.due),
        "importFrom": understood.import_from,
        "exportFrom": understood.export_from,
        "powerFrom": understood.power_from,
        "unit": understood.unit,
        "sign": understood.sign,
        "seconds": understood.seconds,
        "last": last
        and {
            "at": last.at,
            "importMwh": last.import_mwh,
            "exportMwh": last.export_mwh,
            "powerMw": last.power_mw,
        },
        "missing": list(understood.missing),
        "warnings": list(understood.warnings),
    }


def aside(running: Running) -> list[dict[str, Any]]:
    """What is in quarantine of each device that has something there."""
    return [
        {
            "meter": hex_text(watch.device.meter),
            "refused": watch.kept.refused,
            "last": [
                {"at": each.at, "register": each.register, "value": str(each.value), "why": each.reason}
                for each in watch.kept.aside
            ],
        }
        for watch in running.watches.values()
        if watch.kept.refused
    ]
