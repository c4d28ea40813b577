"""The service's interface over HTTP, `/v1`."""
