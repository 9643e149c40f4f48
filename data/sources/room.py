"""How much memory telemetry may take, whatever a file holds."""

from data.errors import SchemaError

LARGEST_ROOM_BYTES = 1 << 30


class Room:
    """Memory that is left; roughly counted.

    Args:
        of: what takes it, as a person calls it.
        left: bytes.
    """

    def __init__(self, of: str, left: int = LARGEST_ROOM_BYTES) -> None:
        self._of, self._all, self._left = of, left, left

    def take(self, size: int) -> None:
        """So many bytes more are held.

        Raises:
            SchemaError: there are not so many.
        """
        self._left -= size
        if self._left < 0:
            raise SchemaError(
                f"the {self._of}", "", f"more than {self._all >> 20} MB of them",
                "read only a part: --limit N, one namespace, or a shorter time",
            )  # fmt: skip
