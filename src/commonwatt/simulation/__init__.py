"""A simulated community: its world, its homes and their keys, and the runs made of them."""
