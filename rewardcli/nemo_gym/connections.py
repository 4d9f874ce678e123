"""Connections with bounds: how many there are, and how long a client may take to say what it wants."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

__all__ = ["backlog", "bounded_protocol", "most_connections"]

# The most connections at one time, if the system has as many file descriptors.
_MOST = 1024
# Descriptors for everything else: standard streams, libraries, files that hooks open.
_RESERVE = 40
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def _descriptors() -> int:
    """How many file descriptors this process may have."""
    try:
        import resource
    except ImportError:  # on Windows, where sockets are not counted
        return 2 * _MOST
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2 * _MOST if soft == resource.RLIM_INFINITY else soft


def backlog() -> int:
    """How many connections may wait to be accepted; asyncio accepts up to as many in one go."""
    return min(128, _descriptors() // 8)


def most_connections() -> int:
    """How many connections may be open, so that descriptors are left for those that have just been accepted."""
    in_between = 4 * backlog()  # accepted, but not known to the server before asyncio has gone round a few times
    return max(8, min(_MOST, _descriptors() - in_between - _RESERVE))


def bounded_protocol(most: int, header_seconds: float) -> type[H11Protocol]:
    """The protocol of a server with bounds.

    Args:
        most: How many connections may be open; further ones are answered 503 and closed.
        header_seconds: How long a client may take until the header of its request is there.
    """

    class BoundedProtocol(H11Protocol):
        _limit: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > most:
                transport.write(_BUSY)
                transport.close()
            else:
                self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            # A request whose header is there has a cycle until it is answered; its body has limits of its own.
            cycle: RequestResponseCycle | None = self.cycle
            if cycle is not None and not cycle.response_complete:
                self._stop_waiting()
            else:
                self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            """Give the client its time, once: further bytes of the same header do not give it more."""
            if self._limit is None and not self.transport.is_closing():
                self._limit = self.loop.call_later(header_seconds, self.transport.abort)

        def _stop_waiting(self) -> None:
            if self._limit is not None:
                self._limit.cancel()
                self._limit = None

    return BoundedProtocol
