import assert from 'node:assert/strict';
import { test } from 'node:test';

test('texts of the host keep a byte order mark', async () => {
  const ofBindings = new TextDecoder();
  await import('../src/starlingmonkey/prelude.js');
  const bytes = new TextEncoder().encode('\ufeffä');
  assert.equal(ofBindings.decode(bytes), '\ufeffä');
  // Decoders of programs drop it, unless an option keeps it.
  assert.equal(new TextDecoder().decode(bytes), 'ä');
  assert.equal(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes), '\ufeffä');
  assert.throws(() => new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.of(0xff)), TypeError);
  assert.equal(new TextDecoder().decode(), '');
});
