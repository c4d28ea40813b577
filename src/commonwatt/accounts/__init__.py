"""From trades to what each owes: netting, statements, charges. Exchange and members agree on it. Pure."""
