"""Registered: the statistics that come with qkvcheck; a file put here adds one."""
