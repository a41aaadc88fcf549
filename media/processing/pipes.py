"""The parent's ends of the two pipes to the child, which may stall, die, or write more than it should."""

from __future__ import annotations

import os
import selectors
import time
from typing import IO

_CHUNK = 64 * 1024  # bytes


class Pipes:
    """Sends and receives bytes at the same time, so that neither side waits for ever.

    Receiving raises TimeoutError at the deadline (of `time.monotonic`), and EOFError once the child has closed its end.
    """

    def __init__(self, writer: IO[bytes], reader: IO[bytes]) -> None:
        self._writer, self._reader = writer.fileno(), reader.fileno()
        os.set_blocking(self._writer, False)
        self._unsent = memoryview(b"")
        self._received = bytearray()

    def send(self, content: bytes) -> None:
        """Send this during the next calls that receive."""
        self._unsent = memoryview(content)

    def receive_line(self, max_bytes: int, deadline: float) -> bytes:
        """Return the next line. Raises ValueError if it is longer than `max_bytes`."""
        while (end := self._received.find(b"\n") + 1) == 0:
            self._transfer(deadline)
            if len(self._received) > max_bytes and b"\n" not in self._received[:max_bytes]:
                raise ValueError("the line is too long")
        return self._take(end)

    def receive(self, size: int, deadline: float) -> bytes:
        """Return the next `size` bytes."""
        while len(self._received) < size:
            self._transfer(deadline)
        return self._take(size)

    @property
    def is_idle(self) -> bool:
        """Whether everything was sent, and nothing was received that was not asked for."""
        return not self._unsent and not self._received

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _transfer(self, deadline: float) -> None:
        """Wait until some bytes can be sent or received, and do so."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ)
            if self._unsent:
                selector.register(self._writer, selectors.EVENT_WRITE)
            ready = {key.fd for key, _ in selector.select(max(0.0, deadline - time.monotonic()))}
        if not ready:
            raise TimeoutError
        if self._writer in ready:
            try:
                self._unsent = self._unsent[os.write(self._writer, self._unsent[:_CHUNK]) :]
            except BrokenPipeError:
                self._unsent = memoryview(b"")  # the child is dead or refuses; receiving shows which
        if self._reader in ready:
            part = os.read(self._reader, _CHUNK)
            if not part:
                raise EOFError
            self._received += part
