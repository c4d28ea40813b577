"""The living exchange: what waits for devices, brokers and people."""
