"""Adapters that are only a socket: they answer `get` with given text, and note what they are asked."""

import os
import socket
import threading

SOCKETS = "/var/run/wireguard"


class FakeAdapter:
    def __init__(self, name, answer):
        """`answer`: text, or a function of the request that makes it."""
        self.name, self.answer, self.requests = name, answer, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(SOCKETS, f"{name}.sock"))
        self.listener.listen(16)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                request = b""
                while not request.endswith(b"\n\n"):
                    more = connection.recv(65536)
                    if not more:
                        break
                    request += more
                if request.endswith(b"\n\n"):  # else somebody only looked whether we are here
                    self.requests.append(request.decode())
                    text = self.answer(self.requests[-1]) if callable(self.answer) else self.answer
                    try:
                        connection.sendall(text.encode("latin-1"))
                    except OSError:
                        pass

    def taken(self):
        """The requests since the last call."""
        requests, self.requests = self.requests, []
        return requests

    def close(self, keep_file=False):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which else keeps the socket alive
        self.thread.join()
        self.listener.close()
        if not keep_file:
            os.unlink(os.path.join(SOCKETS, f"{self.name}.sock"))
