"""Prints what zxing-cpp reads in each picture, a line each: the code's kind and what it holds, as JSON."""

import json
import sys

import zxingcpp
from PIL import Image

for path in sys.argv[1:]:
    picture = Image.open(path).convert("L")
    # Codes are found more surely with white around them and more dots a module.
    wide = Image.new("L", (picture.width + 80, picture.height + 80), 255)
    wide.paste(picture, (40, 40))
    found = zxingcpp.read_barcodes(wide.resize((wide.width * 3, wide.height * 3), Image.NEAREST))
    print(json.dumps([[str(code.format).split(".")[-1], code.bytes.decode("latin-1")] for code in found]))
