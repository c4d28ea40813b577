"""One run, shown: the screen, the report, the tables."""
