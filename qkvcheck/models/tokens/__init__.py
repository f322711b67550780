"""Tokens: what a tokenizer's files may say, and what stands around every context."""
