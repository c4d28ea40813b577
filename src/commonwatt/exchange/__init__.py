"""The exchange: the steps of the way as pure functions, and around them store, outbox, simulation and bills."""
