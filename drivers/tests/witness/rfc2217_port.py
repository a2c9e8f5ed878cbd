"""A serial port on the network by RFC 2217, whose every word is pyserial's: `rfc2217_port.py /dev/pts/3`.

It listens on a free port of the loopback, says which on its first line, and then says on a line of its own what each client sets:
"set 19200 8 E 1 flow=none". Clients are served one after the other.
"""

import socket
import sys
import threading

import serial
import serial.rfc2217


class Terminal(serial.Serial):
    """A pseudo-terminal has no modem wires, which pyserial reads after each change, and refuses a parity bit."""

    cts = dsr = ri = cd = property(lambda self: True)

    def _update_dtr_state(self):
        pass

    def _update_rts_state(self):
        pass

    def _reconfigure_port(self, force_update=False):
        parity, self._parity = self._parity, serial.PARITY_NONE
        try:
            super()._reconfigure_port(force_update)
        finally:
            self._parity = parity


class Port(serial.rfc2217.PortManager):
    def _telnet_process_subnegotiation(self, suboption):
        super()._telnet_process_subnegotiation(suboption)
        s = self.serial
        flow = "software" if s.xonxoff else "hardware" if s.rtscts else "none"
        print(f"set {s.baudrate} {s.bytesize} {s.parity} {s.stopbits} flow={flow}", flush=True)


class Client:
    def __init__(self, terminal, connection):
        self.connection = connection
        self.lock = threading.Lock()
        self.terminal = terminal
        self.port = Port(terminal, self)
        self.alive = True

    def write(self, data):
        with self.lock:
            self.connection.sendall(data)

    def from_terminal(self):
        while self.alive:
            data = self.terminal.read(self.terminal.in_waiting or 1)
            if data:
                self.write(b"".join(self.port.escape(data)))

    def serve(self):
        reader = threading.Thread(target=self.from_terminal)
        reader.start()
        try:
            while data := self.connection.recv(1024):
                self.terminal.write(b"".join(self.port.filter(data)))
        except ConnectionError:
            pass
        self.alive = False
        reader.join()


def main():
    terminal = Terminal(sys.argv[1], timeout=0.05)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Client(terminal, connection).serve()


main()
