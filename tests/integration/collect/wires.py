"""Lines on which answers come too slowly, or not at all."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@contextmanager
def dripping(*answers: tuple[bytes, bytes], gap_s: float) -> Iterator[str]:
    """A server's URL: of each answer the first part comes at once, the rest byte by byte."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError), listener.accept()[0] as line:
                for quick, slow in answers:
                    line.recv(65536)
                    line.sendall(quick)
                    for byte in slow:
                        if done.wait(gap_s):
                            return
                        line.sendall(bytes([byte]))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            done.set()
            thread.join(10)


@dataclass
class Relay:
    """Hands on what goes to a port and back; once ``frozen`` nothing comes back."""

    to_port: int
    frozen: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @contextmanager
    def open(self) -> Iterator["Relay"]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            yield self

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to_port))
                for source, target in ((near, far), (far, near)):
                    arguments = (source, target, target is near)
                    threading.Thread(target=self._hand_on, args=arguments, daemon=True).start()

    def _hand_on(self, source: socket.socket, target: socket.socket, back: bool) -> None:
        with suppress(OSError), target:
            while told := source.recv(65536):
                if not (back and self.frozen.is_set()):
                    target.sendall(told)
