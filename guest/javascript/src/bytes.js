// Returns bytes of the host as a `Uint8Array` of the program. On StarlingMonkey they are of another realm, so that
// `instanceof Uint8Array` is false.
export function ownBytes(value) {
  return value instanceof Uint8Array ? value : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}
