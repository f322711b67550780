"""Commands: the door for a shell: one module a subcommand of `qkvcheck`, each with `add` and `run`.

`qkvcheck.cli` walks in; experiments and scripts take `contests` and `peers`, which time kernels and capture.
"""
