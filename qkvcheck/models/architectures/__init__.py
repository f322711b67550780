"""Architectures: one file a model family; a file put here adds one."""
