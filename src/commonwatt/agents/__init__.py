"""What a home's agent plans and orders. Pure."""
