"""Bills after the fact: from a month's meter readings to what each member is sent."""
