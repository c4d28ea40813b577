"""One member's bill, shown: as lines for a terminal, and as a page to print."""
