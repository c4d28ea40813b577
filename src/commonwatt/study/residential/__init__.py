"""Paper 001: a neighbourhood in summer and winter."""
