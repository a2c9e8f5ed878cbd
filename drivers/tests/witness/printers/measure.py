"""Prints, for each of ROUNDS rounds, how many nanoseconds python-escpos takes to write one receipt of 30 lines.

    measure.py ROUNDS RECEIPTS

The same content is in drivers/tests/it/witness/speed.rs: 30 lines in two columns, a heading, a total and a cut.
"""

import sys
import time

from escpos.printer import Dummy

rounds, receipts = int(sys.argv[1]), int(sys.argv[2])


def receipt(printer):
    printer.set(align="center", bold=True, double_width=True, double_height=True)
    printer.textln("Old Town Pharmacy")
    printer.set(align="left", bold=False, normal_textsize=True)
    for number in range(30):
        left = f"Paracetamol 500 mg, line {number}"
        printer.textln(left + "3.20 €".rjust(48 - len(left)))
    printer.set(bold=True, double_height=True)
    printer.textln("Total" + "96.00 €".rjust(43))
    printer.set(bold=False, normal_textsize=True)
    printer.cut(mode="PART")


printer = Dummy(profile="TM-T20II")
for _ in range(rounds):
    began = time.perf_counter_ns()
    for _ in range(receipts):
        printer.clear()
        receipt(printer)
    print((time.perf_counter_ns() - began) // receipts, flush=True)
