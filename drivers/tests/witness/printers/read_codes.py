"""Reads every code in the pictures that are named, with zxing-cpp, and prints one JSON line a picture."""

import json
import sys

import zxingcpp
from PIL import Image

for name in sys.argv[1:]:
    picture = Image.open(name).convert("L")
    # Paper has white around it; a preview ends where the print does.
    paper = Image.new("L", (picture.width + 64, picture.height + 64), 255)
    paper.paste(picture, (32, 32))
    codes = zxingcpp.read_barcodes(paper)
    codes = sorted(codes, key=lambda code: code.position.top_left.y)
    print(json.dumps([[code.symbology_identifier, code.bytes.hex()] for code in codes]))
