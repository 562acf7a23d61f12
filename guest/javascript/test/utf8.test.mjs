import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as own from '../src/quickjs/utf8.js';

// Both engines have these functions, but Node.js 18 does not.
const skip = ''.isWellFormed ? false : 'this Node.js has no String.prototype.isWellFormed';

test('texts are encoded and decoded as in Node.js', { skip }, () => {
  for (const text of ['', 'plain %41', 'Größe 🌰\u2028', 'half \ud800', '\ufeffmarked']) {
    const bytes = new TextEncoder().encode(text);
    assert.deepEqual(new own.TextEncoder().encode(text), bytes);
    for (const options of [{}, { ignoreBOM: true }]) {
      assert.equal(new own.TextDecoder('utf-8', options).decode(bytes), new TextDecoder('utf-8', options).decode(bytes));
    }
  }
  const truncated = [[0xe2, 0x82], [0xf0, 0x9f, 0x8c, 0x41], [0xe0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80]];
  for (const bytes of [[0xff], [0x41, 0xc3], [0xc3, 0xa4, 0x80, 0x42], ...truncated]) {
    assert.equal(new own.TextDecoder().decode(Uint8Array.from(bytes)), new TextDecoder().decode(Uint8Array.from(bytes)));
    assert.throws(() => new own.TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes)), TypeError);
  }
  assert.throws(() => new own.TextDecoder('latin1'), /decodes only UTF-8/);
});
