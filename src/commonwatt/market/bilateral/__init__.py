"""Agents that agree with each other alone: consensus, routes of trade, rounding, proof."""
