"""A Modbus server of pymodbus, as the peer of our client.

    server.py rtu PATH      on a serial line
    server.py tcp           on a free port of the loopback
    server.py rtu-tcp       the same, with RTU frames: as behind a converter

Says "ready" and its port (0 for a serial line) on one line, then serves until its standard input ends. Units:

    1   input registers 1 and 2: 4.2 degrees and 45.0 per cent; holding register 257: its address
    2   discrete inputs 0 and 1: up and down; coils 8 and 9: down and up; holding registers 10 and 11: one number of 32 bits
        (-12345), 20 and 21: 4.25 in single precision
    3   silent                      4   its answer is damaged: check sum, or transaction
    5   answers as unit 1           6   its answer is cut off
"""

import asyncio
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def registers(address, *words):
    return SimData(address, values=list(words), datatype=DataType.REGISTERS)


def unit(number):
    off = SimData(0, values=[False] * 16, datatype=DataType.BITS)
    return SimDevice(
        number,
        ([off], [off], [registers(257, number)], [registers(1, 42, 450)]),
    )


def units():
    second = SimDevice(
        2,
        (
            [SimData(8, values=[False, True] + [False] * 14, datatype=DataType.BITS)],
            [SimData(0, values=[True, False] + [False] * 14, datatype=DataType.BITS)],
            [
                SimData(10, values=-12345, datatype=DataType.INT32),
                SimData(20, values=4.25, datatype=DataType.FLOAT32),
            ],
            [registers(0, 0)],
        ),
    )
    return [unit(1), second] + [unit(number) for number in (3, 4, 5, 6)]


def faults(tcp):
    """What happens to an answer on its way out, by the unit that it is from."""
    unit_at = 6 if tcp else 0

    def trace(sending, data):
        if not sending or len(data) <= unit_at:
            return data
        number = data[unit_at]
        if number == 3:
            return b""
        if number == 4:
            damaged = bytearray(data)
            damaged[1 if tcp else -1] ^= 0x5A
            return bytes(damaged)
        if number == 5 and tcp:
            return data[:unit_at] + b"\x01" + data[unit_at + 1 :]
        if number == 5:
            from pymodbus.framer.rtu import FramerRTU

            body = b"\x01" + data[1:-2]
            return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")
        if number == 6:
            return data[: len(data) // 2]
        return data

    return trace


async def main():
    kind = sys.argv[1]
    if kind == "rtu":
        server = ModbusSerialServer(
            units(), framer=FramerType.RTU, port=sys.argv[2], baudrate=9600, trace_packet=faults(False)
        )
    else:
        framer = FramerType.SOCKET if kind == "tcp" else FramerType.RTU
        server = ModbusTcpServer(
            units(), framer=framer, address=("127.0.0.1", 0), trace_packet=faults(kind == "tcp")
        )
    await server.serve_forever(background=True)
    port = 0 if kind == "rtu" else server.transport.sockets[0].getsockname()[1]
    print(f"ready {port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.shutdown()


asyncio.run(main())
