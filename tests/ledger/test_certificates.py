"""A node at an https URL shows a certificate that this machine's authorities signed; over http nobody does."""

from __future__ import annotations

import ssl

import pytest

from commonwatt.ledger.certificates import needed


@pytest.mark.parametrize("url", ["https://node.example", "HTTPS://node.example:8545", "node.example", " http://node"])
def test_whatever_is_not_plain_http_is_proved(url: str) -> None:
    context = needed(url)
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("url", ["http://127.0.0.1:8545", "HTTP://[::1]:8545/"])
def test_over_plain_http_there_is_nothing_to_prove(url: str) -> None:
    assert needed(url) is False
