"""The chain inside a process: blocks, state, execution, questions."""
