"""Reads a PWG raster file with the decoder of CUPS (libcups), which has nothing of ours.

usage: pwg_raster.py FILE FOLDER

Writes each page as FOLDER/1.pgm, 2.pgm, … and prints a JSON line for each with what its header says.
"""

import ctypes
import json
import os
import struct
import sys

# cups/raster.h: cups_page_header2_t has 1,796 bytes, numbers in the machine's own order; the offsets are those of its fields.
HEADER_BYTES = 1796
NUMBERS = {
    "dpi": 276,
    "copies": 340,
    "width": 372,
    "height": 376,
    "bits": 388,
    "row_bytes": 392,
    "colour_space": 400,
    "colours": 420,
    "pages": 452,
}


def main() -> None:
    path, folder = sys.argv[1:]
    cups = ctypes.CDLL("libcups.so.2")
    cups.cupsRasterOpen.restype = ctypes.c_void_p
    for call in (cups.cupsRasterReadHeader2, cups.cupsRasterReadPixels):
        call.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint][: 2 if call is cups.cupsRasterReadHeader2 else 3]
        call.restype = ctypes.c_uint
    raster = cups.cupsRasterOpen(os.open(path, os.O_RDONLY), 0)
    if not raster:
        sys.exit("libcups cannot open the file")
    header = ctypes.create_string_buffer(HEADER_BYTES + 64)
    number = 0
    while cups.cupsRasterReadHeader2(raster, header):
        number += 1
        page = {name: struct.unpack_from("=I", header, at)[0] for name, at in NUMBERS.items()}
        page["kind"] = header.raw[:64].split(b"\0")[0].decode()
        page["paper"] = header.raw[1732:1796].split(b"\0")[0].decode()
        row = ctypes.create_string_buffer(page["row_bytes"])
        with open(os.path.join(folder, f"{number}.pgm"), "wb") as picture:
            picture.write(b"P5 %d %d 255\n" % (page["width"], page["height"]))
            for y in range(page["height"]):
                if cups.cupsRasterReadPixels(raster, row, page["row_bytes"]) != page["row_bytes"]:
                    sys.exit(f"page {number} ends in row {y}")
                if page["bits"] == 1:
                    dots = (row.raw[x // 8] << (x % 8) & 0x80 for x in range(page["width"]))
                    picture.write(bytes(0 if dot else 255 for dot in dots))
                else:
                    picture.write(row.raw[: page["width"]])
        print(json.dumps(page))
    if number == 0:
        sys.exit("there is no page in the file")


main()
