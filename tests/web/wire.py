"""A wire between a window and a server, which can be cut and mended."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit


class Wire:
    """Listens at a port of its own, and hands on what it hears. `with Wire(address) as wire:`

    Cut, it ends all connections, and each new one as soon as it comes.
    """

    def __init__(self, address):
        self._address = urlsplit(address)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._sockets = []
        self._threads = []
        self._cut = self._over = False

    @property
    def address(self):
        """That of the server, by way of this wire."""
        port = self._listener.getsockname()[1]
        return urlunsplit(self._address._replace(netloc=f"127.0.0.1:{port}"))

    def __enter__(self):
        self._start(self._listen)
        return self

    def __exit__(self, *_):
        self._over = True
        socket.create_connection(self._listener.getsockname()).close()  # wakes it
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def cut(self):
        with self._lock:
            self._cut = True
            for one in self._sockets:
                with suppress(OSError):  # it has ended by itself
                    one.shutdown(socket.SHUT_RDWR)

    def mend(self):
        self._cut = False

    def _start(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _listen(self):
        while not self._over:
            near, _ = self._listener.accept()
            with self._lock:
                if self._cut or self._over:
                    near.close()
                    continue
                far = socket.create_connection((self._address.hostname, self._address.port))
                self._sockets += [near, far]
                self._start(
                    self._carry, near, far, threading.Barrier(2, action=_closing(near, far))
                )

    def _carry(self, near, far, both):
        self._start(self._pump, far, near, both)
        self._pump(near, far, both)

    def _pump(self, source, target, both):
        with suppress(OSError):  # the wire was cut, or one end is gone
            while data := source.recv(65_536):
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        both.wait()


def _closing(*sockets):
    def close():
        for one in sockets:
            one.close()

    return close
