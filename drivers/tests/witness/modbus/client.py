"""A Modbus master of pymodbus, as the peer of our simulated devices.

    client.py rtu PATH | tcp PORT | rtu-tcp PORT

Reads what the test put there and says it in JSON, one answer a line.
"""

import json
import sys

from pymodbus import FramerType
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ModbusException

kind, place = sys.argv[1:3]
if kind == "rtu":
    client = ModbusSerialClient(place, framer=FramerType.RTU, baudrate=9600, timeout=1, retries=0)
else:
    framer = FramerType.SOCKET if kind == "tcp" else FramerType.RTU
    client = ModbusTcpClient("127.0.0.1", port=int(place), framer=framer, timeout=1, retries=0)
assert client.connect(), "the line cannot be opened"


def say(what, call, *args, **more):
    try:
        answer = call(*args, **more)
        if answer.isError():
            told = {"exception": answer.exception_code}
        else:
            told = answer.registers or answer.bits[: more["count"]]
    except ModbusException as error:
        told = {"error": type(error).__name__}
    print(json.dumps({what: told}), flush=True)


say("input", client.read_input_registers, 1, count=2, device_id=1)
say("holding", client.read_holding_registers, 257, count=1, device_id=1)
say("missing", client.read_input_registers, 999, count=1, device_id=1)
say("unknown function", client.read_coils, 0, count=1, device_id=1)
say("discrete", client.read_discrete_inputs, 7, count=10, device_id=2)
say("coils", client.read_coils, 3, count=1, device_id=2)
say("damaged", client.read_input_registers, 1, count=1, device_id=3)
say("silent", client.read_input_registers, 1, count=1, device_id=4)
say("after that", client.read_input_registers, 1, count=1, device_id=1)
client.close()
