"""What a bank or a tax office would send back is refused when the file is read."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from commonwatt.community.billing import BillingTable, PartyTable, billing_of

CREDITOR = {"creditor": "EEG", "vat": "none"}


@pytest.mark.parametrize("creditor_id", ["AT61ZZZ01234567890", "DE98 ZZZ 0999 9999 999", "at61abc01234567890"])
def test_creditor_identifiers_are_taken_with_spaces_and_any_business_code(creditor_id: str) -> None:
    table = BillingTable.model_validate({**CREDITOR, "creditor_id": creditor_id, "bic": "bkau at ww"})
    assert billing_of(table).creditor_id == creditor_id.replace(" ", "").upper()
    assert billing_of(table).creditor.bic == "BKAUATWW"


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("creditor_id", "AT62ZZZ01234567890", "has a typing error: its check digits do not fit"),
        ("creditor_id", "AT61ZZZ", "is not a creditor identifier"),
        ("bic", "BKAUATW", "is not a BIC"),
        ("bic", "BKAUATWWXX", "is not a BIC"),
        ("iban", "AT611904300234573202", "has a typing error"),
    ],
)
def test_typing_errors_of_a_creditor_are_found(key: str, value: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        BillingTable.model_validate({**CREDITOR, key: value})


@pytest.mark.parametrize("mandate", ["M-1", "RE/2026/7", "A" * 35])
def test_references_of_mandates_are_kept_as_they_were_signed(mandate: str) -> None:
    assert PartyTable.model_validate({"mandate": mandate}).mandate == mandate


@pytest.mark.parametrize("mandate", ["", "A" * 36, "Müller-1", "/1", "1/", "a//b", "1_2"])
def test_references_that_no_bank_carries_are_refused(mandate: str) -> None:
    with pytest.raises(ValidationError, match="mandate"):
        PartyTable.model_validate({"mandate": mandate})
