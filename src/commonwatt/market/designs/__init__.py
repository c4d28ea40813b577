"""The market designs, one file each."""
