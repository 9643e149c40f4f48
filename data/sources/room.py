"""Limits the memory for telemetry, whatever a file holds."""

from data.errors import SchemaError

LARGEST_ROOM_BYTES = 1 << 30


class Room:
    """The memory that is left, roughly.

    Args:
        of: what uses it, for the error message.
        left: bytes.
    """

    def __init__(self, of: str, left: int = LARGEST_ROOM_BYTES) -> None:
        self._of, self._all, self._left = of, left, left

    def take(self, size: int) -> None:
        """Counts `size` more bytes.

        Raises:
            SchemaError: more than are left.
        """
        self._left -= size
        if self._left < 0:
            raise SchemaError(
                f"the {self._of}", "", f"more than {self._all >> 20} MB of them",
                "read only a part: --limit N, one namespace, or a shorter time",
            )  # fmt: skip
