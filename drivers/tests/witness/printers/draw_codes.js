// Draws codes with bwip-js and prints their modules: one JSON line for each line of JSON {kind, data} at the standard input.
'use strict';
const bwip = require('bwip-js');

const kinds = {
  ean13: (data) => ({ bcid: 'ean13', text: data }),
  ean8: (data) => ({ bcid: 'ean8', text: data }),
  code128: (data) => ({ bcid: 'code128', text: data }),
  gs1_128: (data) => ({ bcid: 'gs1-128', text: data }),
  scanner: (data) => ({ bcid: 'code128', text: data, parsefnc: true }),
  qr: (data) => ({ bcid: 'qrcode', text: data, eclevel: 'M' }),
  data_matrix: (data) => ({ bcid: 'gs1datamatrix', text: data }),
};

const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter((line) => line !== '');
for (const line of lines) {
  const { kind, data } = JSON.parse(line);
  const [drawn] = bwip.raw(kinds[kind](data));
  const rows = [];
  if (drawn.pixs) {
    for (let y = 0; y < drawn.pixy; y++) rows.push(drawn.pixs.slice(y * drawn.pixx, (y + 1) * drawn.pixx).join(''));
  } else {
    rows.push(drawn.sbs.map((width, at) => (at % 2 === 0 ? '1' : '0').repeat(width)).join(''));
  }
  console.log(JSON.stringify(rows));
}
