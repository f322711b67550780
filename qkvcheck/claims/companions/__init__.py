"""Companions: further numbers shown beside a verdict, which decide nothing.

A companion is one class; a file in `qkvcheck.claims.companions.registered` adds one to the package,
`register_companion` one of a project's own.
"""
