import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as own from '../src/quickjs/utf8.js';

// Both engines have these functions, but Node.js 18 does not.
const skip = ''.isWellFormed ? false : 'this Node.js has no String.prototype.isWellFormed';

test('texts are encoded and decoded as in Node.js', { skip }, () => {
  for (const text of ['', 'plain %41', 'Größe 🌰\u2028', 'half \ud800']) {
    const bytes = new TextEncoder().encode(text);
    assert.deepEqual(new own.TextEncoder().encode(text), bytes);
    assert.equal(new own.TextDecoder().decode(bytes), new TextDecoder().decode(bytes));
  }
  for (const bytes of [[0xff], [0x41, 0xc3], [0xc3, 0xa4, 0x80, 0x42]]) {
    assert.equal(new own.TextDecoder().decode(Uint8Array.from(bytes)), new TextDecoder().decode(Uint8Array.from(bytes)));
    assert.throws(() => new own.TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes)), TypeError);
  }
  assert.throws(() => new own.TextDecoder('latin1'), /decodes only UTF-8/);
});
