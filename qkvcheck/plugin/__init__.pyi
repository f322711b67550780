from .claim_check import ClaimCheck

pytest_plugins: tuple[str, ...]

__all__ = ["ClaimCheck"]
