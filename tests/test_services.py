"""The services that other tests stand on: they answer, die and come back, and are not silently missed."""

from __future__ import annotations

import socket

import pytest
from _pytest.outcomes import Failed, Skipped
from services import Mosquitto, Postgres, Service, program


@pytest.mark.parametrize("kind", [Mosquitto, Postgres])
def test_a_service_that_is_killed_comes_back_where_it_was(kind: type[Service]) -> None:
    service = kind()
    try:
        for end in (service.kill, service.stop):
            service.start()
            assert service._answers()
            end()
            assert not service._answers()
        service.start()
        assert service._answers()
    finally:
        service.remove()
    assert not service.folder.exists()
    assert not service._answers()


def test_the_broker_of_all_tests_listens(mosquitto: Mosquitto) -> None:
    # CONNECT of MQTT 3.1.1 with an empty name and a clean session, and what a broker that takes it answers.
    with socket.create_connection(("127.0.0.1", mosquitto.port), 60) as client:
        client.sendall(bytes.fromhex("100c00044d5154540402003c0000"))
        assert client.recv(4) == bytes.fromhex("20020000")


def test_a_test_without_its_service_is_left_out_or_fails_where_none_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "COMMONWATT_ALL_TESTS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Skipped, match="no-such-service is not installed"):
        program("no-such-service")
    for name in ("CI", "COMMONWATT_ALL_TESTS"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "1")
            with pytest.raises(Failed, match="no-such-service is not installed"):
                program("no-such-service")
