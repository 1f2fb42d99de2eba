"""The paper's protocol: published databases, its eight tasks, its tables."""
