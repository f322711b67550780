"""Registered: the figures that come with qkvcheck; a file put here adds one."""
