"""Controls: the same measurement where a claim should not hold, so that a control can take it away.

A control is one class; a file in `qkvcheck.claims.controls.registered` adds one to the package, `register_control` one
of a project's own.
"""
