"""What a member does alone: verify a bill, find faults in what it was shown, challenge them on the chain."""
