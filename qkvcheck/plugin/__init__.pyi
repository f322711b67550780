from .claim_check import ClaimCheck

__all__ = ["ClaimCheck"]

pytest_plugins: tuple[str, ...]
