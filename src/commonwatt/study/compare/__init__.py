"""Market designs side by side on one community."""
