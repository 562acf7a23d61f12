// UTF-8, which QuickJS converts with `encodeURIComponent` and `decodeURIComponent`.

export class TextEncoder {
  encoding = 'utf-8';

  encode(text = '') {
    const encoded = encodeURIComponent(String(text).toWellFormed());
    const bytes = [];
    for (let index = 0; index < encoded.length; index += 1) {
      const isEscape = encoded[index] === '%';
      bytes.push(isEscape ? parseInt(encoded.slice(index + 1, index + 3), 16) : encoded.charCodeAt(index));
      if (isEscape) index += 2;
    }
    return Uint8Array.from(bytes);
  }
}

// Decodes UTF-8 as a whole. Malformed bytes become U+FFFD, or with `fatal` an error.
export class TextDecoder {
  encoding = 'utf-8';

  constructor(label = 'utf-8', { fatal = false } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`QuickJS decodes only UTF-8, not ${label}; build with \`--engine starlingmonkey\``);
    this.fatal = fatal;
  }

  decode(input = new Uint8Array()) {
    const bytes = input instanceof Uint8Array ? input : new Uint8Array(input.buffer ?? input, input.byteOffset ?? 0, input.byteLength);
    try {
      return decodeURIComponent(Array.from(bytes, escape).join(''));
    } catch {
      if (this.fatal) throw new TypeError('the bytes are not UTF-8');
      return lossy(bytes);
    }
  }
}

const escape = (byte) => `%${byte.toString(16).padStart(2, '0')}`;

function lossy(bytes) {
  let text = '';
  for (let index = 0; index < bytes.length;) {
    const length = [1, 2, 3, 4].find((length) => isCharacter(bytes.subarray(index, index + length), length));
    text += length === undefined ? '\ufffd' : decodeURIComponent(Array.from(bytes.subarray(index, index + length), escape).join(''));
    index += length ?? 1;
  }
  return text;
}

function isCharacter(bytes, length) {
  if (bytes.length !== length) return false;
  try {
    return [...decodeURIComponent(Array.from(bytes, escape).join(''))].length === 1;
  } catch {
    return false;
  }
}
