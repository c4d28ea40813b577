"""Agents that agree with an aggregator of the wires: input, network, steps, proof."""
