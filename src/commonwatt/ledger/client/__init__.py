"""The contracts' client on any node."""
