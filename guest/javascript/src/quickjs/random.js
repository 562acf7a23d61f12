// Random numbers from the host.

import { getRandomBytes } from 'wasi:random/random@0.2.0';

export function getRandomValues(array) {
  if (array.byteLength > 65536) throw new RangeError(`${array.byteLength} random bytes were requested, the limit is 65536`);
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(getRandomBytes(array.byteLength));
  return array;
}

export function randomUUID() {
  const bytes = getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

// State of xoshiro128**. At build time, when the host cannot be called, it has a fixed value.
let state = Uint32Array.of(1, 2, 3, 4);
let isSeeded = false;
let canSeed = false;

// Permits to seed the generator from the host, with its next use.
export function seed() {
  canSeed = true;
}

export function random() {
  if (canSeed && !isSeeded) {
    getRandomValues(state);
    isSeeded = true;
  }
  // 53 bits, as many as the fraction of a float has.
  return ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}

function next() {
  const rotate = (value, count) => (value << count) | (value >>> (32 - count));
  const result = Math.imul(rotate(Math.imul(state[1], 5), 7), 9);
  const shifted = state[1] << 9;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = rotate(state[3], 11);
  return result;
}
