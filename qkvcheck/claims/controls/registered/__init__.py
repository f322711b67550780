"""Registered: the controls that come with qkvcheck; a file put here adds one."""
