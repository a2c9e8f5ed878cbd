"""Prints a receipt with python-escpos: on the network printer HOST PORT, or as hex to the standard output.

    print_receipt.py HOST PORT
    print_receipt.py
"""

import sys

from escpos.printer import Dummy, Network


def receipt(printer):
    printer.set(align="center", bold=True, double_width=True, double_height=True)
    printer.textln("Old Town Pharmacy")
    printer.set(align="left", bold=False, normal_textsize=True)
    printer.textln("Crème 3.20 €")
    printer.textln("Аптека")
    printer.textln("Łódź")
    printer.set(align="center", underline=1)
    printer.textln("underlined")
    printer.set(align="left", underline=0)
    printer.qr("act-0192f0c1", native=True, size=6)
    printer.qr("by raster", native=False, size=6, impl="bitImageRaster")
    printer.qr("by graphics", native=False, size=6, impl="graphics")
    printer.barcode("952123454321", "EAN13", width=3, function_type="B", force_software=False)
    printer.barcode("{BT1-1042", "CODE128", width=2, function_type="B", force_software=False)
    printer.cut(mode="PART")


if len(sys.argv) == 3:
    printer = Network(sys.argv[1], port=int(sys.argv[2]), profile="TM-T20II")
    receipt(printer)
    printer.close()
else:
    printer = Dummy(profile="TM-T20II")
    receipt(printer)
    print(printer.output.hex())
