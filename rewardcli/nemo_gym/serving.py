"""The server as a process: where it listens, and until when."""

from __future__ import annotations

import copy
import ctypes
import os
import platform
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ..errors import RewardcliError, UsageError

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["listen", "run"]


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


def run(app: FastAPI, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, and then until the requests in flight have finished."""
    import uvicorn
    from uvicorn.config import LOGGING_CONFIG

    log_config = copy.deepcopy(LOGGING_CONFIG)
    log_config["handlers"]["access"]["stream"] = "ext://sys.stderr"  # as everything that is not a result
    log_config["loggers"]["rewardcli"] = {"handlers": ["default"], "level": "INFO"}
    _return_memory()
    uvicorn.Server(uvicorn.Config(app, log_config=log_config, ws="none")).run(sockets=[listener])
