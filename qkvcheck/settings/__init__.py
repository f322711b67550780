"""Settings: what a run was asked to do, from command line, environment and ini file, in that order.

An option is one row of `Settings`: its default, its help, how it is read, and whether it is a path. pytest's options
and the commands are made from these rows. Walk in by `resolve_settings`; `OPTIONS` has the rows.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
