"""Prints, for each of ROUNDS rounds, how many nanoseconds python-escpos takes to write one receipt of 30 lines; without
ROUNDS the receipt itself, as hex. WAY is line-by-line, or at-once: the 30 lines in one call.

    measure.py WAY [ROUNDS RECEIPTS]

The same content is in drivers/tests/it/witness/speed.rs and hil-tests/src/bench/receipt.rs: a heading, 30 lines in two
columns, a total, a QR code and a cut.
"""

import sys
import time

from escpos.printer import Dummy

at_once = {"line-by-line": False, "at-once": True}[sys.argv[1]]


def receipt(printer):
    printer.set(align="center", bold=True, double_width=True, double_height=True)
    printer.textln("Old Town Pharmacy")
    printer.set(align="left", bold=False, normal_textsize=True)
    lines = (f"Paracetamol 500 mg, line {number}" for number in range(30))
    lines = (left + "3.20 €".rjust(48 - len(left)) for left in lines)
    if at_once:
        printer.text("\n".join(lines) + "\n")
    else:
        for line in lines:
            printer.textln(line)
    printer.set(bold=True, double_height=True)
    printer.textln("Total" + "96.00 €".rjust(43))
    printer.set(align="center", bold=False, normal_textsize=True)
    printer.qr("https://pharmacy.example/r/1042", native=True, size=6)
    printer.cut(mode="PART")


printer = Dummy(profile="TM-T20II")
if len(sys.argv) == 2:
    receipt(printer)
    print(printer.output.hex())
else:
    rounds, receipts = int(sys.argv[2]), int(sys.argv[3])
    for _ in range(rounds):
        began = time.perf_counter_ns()
        for _ in range(receipts):
            printer.clear()
            receipt(printer)
        print((time.perf_counter_ns() - began) // receipts, flush=True)
