"""JSON-RPC: the door of a node for wallets and clients."""
