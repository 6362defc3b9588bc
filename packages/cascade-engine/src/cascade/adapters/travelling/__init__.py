"""What travels with a call to another process besides its arguments, and what it finds there."""

__all__: list[str] = []
