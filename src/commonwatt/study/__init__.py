"""Published case studies, run through this package's own mechanisms and compared with what was printed."""
