// Takes ESC/POS, in hex at the standard input, apart with npos and prints what it found as one JSON line: the commands, the
// bytes that are text, and each picture as rows of 0 and 1. Pictures that follow each other are one.
'use strict';
const npos = require('npos');

// It knows each command but the one of QR codes, whose length is counted as that of the others.
npos.rules[npos.symbols.GS]['(k'] = [0, 'd16'];

const bytes = Buffer.from(require('fs').readFileSync(0, 'utf8').trim(), 'hex');
npos
  .parser(npos.rules)
  .parse(bytes)
  .then((ast) => {
    const commands = ast.tree.map((node) => node.ascii + (node.fn || ''));
    const text = ast.entries.filter((entry) => entry.type === 'text').map((entry) => entry.data.toString('hex'));
    const pictures = ast.entries
      .filter((entry) => entry.type === 'raster')
      .map(({ data }) => {
        const rows = [];
        for (let y = 0; y < data.height; y++) {
          let row = '';
          for (let x = 0; x < data.width; x++) row += data.getPixel(x, y) === 0 ? '1' : '0';
          rows.push(row);
        }
        return rows;
      });
    console.log(JSON.stringify({ commands, text, pictures }));
  })
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
