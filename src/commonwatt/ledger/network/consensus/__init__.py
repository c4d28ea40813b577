"""Ways to agree on the next block: authority, work, stake."""
