"""Two communities, two chains: what one has to spare the other buys, and both posts become final or neither."""
