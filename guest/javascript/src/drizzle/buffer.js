// The functions of Node's `Buffer` that columns of drizzle call. The build command provides it to them, because no engine has
// it.

export class Buffer extends Uint8Array {
  static from(value, offset, length) {
    return new Buffer(typeof value === 'string' ? new TextEncoder().encode(value) : value, offset, length);
  }

  static isBuffer(value) {
    return value instanceof Buffer;
  }

  toString() {
    return new TextDecoder().decode(this);
  }
}
