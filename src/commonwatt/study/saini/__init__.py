"""Paper 003: five homes in India."""
