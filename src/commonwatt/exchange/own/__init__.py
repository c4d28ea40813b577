"""Agents and forecasters from files of one's own, in processes of their own, so that one that never answers is left."""
