"""Registered: the companions that come with qkvcheck; a file put here adds one."""
