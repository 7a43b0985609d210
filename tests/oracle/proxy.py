"""A TCP proxy on 127.0.0.1 that cuts connections in the middle of a message."""
import select
import socket
import threading


class Proxy:
    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.cut_after = None   # bytes from the server on the busiest connection, then cut
        self.refuse = False
        self.cuts = 0
        self._pairs = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.add((client, server))
            threading.Thread(target=self._pump, args=(client, server), daemon=True).start()

    def _pump(self, client, server):
        passed = 0
        try:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for s in ready:
                    data = s.recv(65536)
                    if not data:
                        return
                    if s is server:
                        passed += len(data)
                        limit = self.cut_after
                        if limit is not None and passed > limit:
                            self.cut_after = None
                            self.cuts += 1
                            # Half a message goes through, then the line is dead.
                            client.sendall(data[:max(1, len(data) // 2)])
                            return
                        client.sendall(data)
                    else:
                        server.sendall(data)
        except (OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._pairs.discard((client, server))
            client.close()
            server.close()

    def cut_all(self):
        with self._lock:
            pairs = list(self._pairs)
        for client, server in pairs:
            self.cuts += 1
            for s in (client, server):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.listener.close()
        self.cut_all()
