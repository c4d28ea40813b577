"""The order book of continuous trading, in plain Python and compiled."""
