"""Dependence: what contexts share, which of it makes their rows alike, and what a few of them do to an interval."""
