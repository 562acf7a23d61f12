// Random numbers from the host.

import { getRandomBytes } from 'wasi:random/random@0.2.0';
import { random as next, setState } from '../xoshiro.js';

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

let isSeeded = false;
let canSeed = false;

// Permits to seed the generator from the host, with its next use.
export function seed() {
  canSeed = true;
}

export function random() {
  if (canSeed && !isSeeded) {
    setState(getRandomValues(new Uint32Array(4)));
    isSeeded = true;
  }
  return next();
}
