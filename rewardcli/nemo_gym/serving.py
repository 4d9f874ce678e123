"""The server as a process: where it listens, and until when."""

from __future__ import annotations

import asyncio
import copy
import ctypes
import logging
import os
import platform
import socket
import threading
from ipaddress import ip_address
from types import FrameType
from typing import TYPE_CHECKING

from ..errors import RewardcliError, UsageError
from .hooks import prints_aside

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["GRACE", "listen", "run"]

# After a signal to end, the seconds that requests in flight have, and those in which the process ends by itself.
GRACE, _AFTER_GRACE = 10.0, 1.0
# How long a client may take to send the header of a request.
HEADER_SECONDS = 20.0


def listen(host: str, port: int, *, guarded: bool) -> socket.socket:
    """Open the socket that the server listens on.

    Args:
        host: A name or an address.
        port: The port; 0 for any that is free.
        guarded: Whether callers need a token. Without one, only this machine may call.

    Raises:
        UsageError: The address can be reached from elsewhere, and callers need no token.
        RewardcliError: Nobody can listen there.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise RewardcliError(f"no address is known for the host '{host}'", "check {host}") from error
    family, kind, protocol, _, address = addresses[0]
    if not guarded and not ip_address(address[0]).is_loopback:
        raise UsageError(
            f"without a token the server listens on this machine only, and '{host}' is reached from elsewhere",
            "give {token} or REWARDCLI_TOKEN, or a {host} such as 127.0.0.1",
        )
    # With its protocol named, asyncio lets answers go out at once instead of waiting to fill a packet.
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise RewardcliError(f"cannot listen on {host} port {port}: {reason}", "choose another {port}") from error
    return listener


def _return_memory() -> None:
    """Have large blocks of memory returned to the system when they are freed.

    glibc takes the largest block freed so far for the measure of what to keep. After some bodies of 10 MB the server
    then held 500 MB for good; with the measure fixed, 210.
    """
    if platform.libc_ver()[0] == "glibc":
        m_mmap_threshold = -3
        ctypes.CDLL(None).mallopt(m_mmap_threshold, 1 << 20)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record of the log says anything: that requests are given up after the grace is said already."""
    return not (record.exc_info and record.exc_info[0] is asyncio.CancelledError)


def run(app: FastAPI, listener: socket.socket, *, grace: float = GRACE) -> None:
    """Serve until SIGTERM or SIGINT, and then until the requests in flight have finished.

    Args:
        app: The app.
        listener: What `listen` opened.
        grace: How many seconds these requests may take; then they are given up.
    """
    import uvicorn
    from uvicorn.config import LOGGING_CONFIG

    from .connections import backlog, bounded_protocol, most_connections

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            super().handle_exit(sig, frame)
            # A hook that is still at work in its thread would keep the process for as long as it likes.
            watch = threading.Timer(grace + _AFTER_GRACE, os._exit, [128 + sig])
            watch.daemon = True
            watch.start()

    log_config = copy.deepcopy(LOGGING_CONFIG)
    log_config["handlers"]["access"]["stream"] = "ext://sys.stderr"  # as everything that is not a result
    log_config["loggers"]["rewardcli"] = {"handlers": ["default"], "level": "INFO"}
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    _return_memory()
    config = uvicorn.Config(
        app,
        http=bounded_protocol(most_connections(), HEADER_SECONDS),
        ws="none",
        log_config=log_config,
        backlog=backlog(),
        timeout_graceful_shutdown=grace,  # type: ignore[arg-type] # fractions will do
    )
    with prints_aside():
        Server(config).run(sockets=[listener])
