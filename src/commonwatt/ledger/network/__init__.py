"""The chain as a network of nodes."""
