// The generator of random numbers xoshiro128**.

// At build time, when the host cannot be called, it has a fixed value.
let state = Uint32Array.of(1, 2, 3, 4);

// Sets the state: four integers of 32 bits, not all of them zero.
export function setState(words) {
  state = words;
}

export function random() {
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
