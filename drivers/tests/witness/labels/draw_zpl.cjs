// Draws the ZPL on its standard input with zpl-renderer-js (zebrash, in WebAssembly), and prints one PNG in base64 a line.
// Arguments: the label's width and height in millimetres, and dots per millimetre.

const { readFileSync } = require("node:fs");
const { ready } = require("zpl-renderer-js");

const [width, height, dotsPerMm] = process.argv.slice(2).map(Number);
ready
  .then(({ api }) => api.zplToBase64MultipleAsync(readFileSync(0, "latin1"), width, height, dotsPerMm))
  .then((labels) => {
    console.log(labels.join("\n"));
    process.exit(0);
  })
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
