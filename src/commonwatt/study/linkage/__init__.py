"""Pseudonyms on a ledger: how well the amounts of quarter hours betray whose they are."""
