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

// Decodes UTF-8 as a whole. Each malformed part of a character becomes U+FFFD, or with `fatal` an error.
export class TextDecoder {
  encoding = 'utf-8';

  constructor(label = 'utf-8', { fatal = false, ignoreBOM = false } = {}) {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`QuickJS decodes only UTF-8, not ${label}; build with \`--engine starlingmonkey\``);
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
  }

  decode(input = new Uint8Array()) {
    let bytes = input instanceof Uint8Array ? input : new Uint8Array(input.buffer ?? input, input.byteOffset ?? 0, input.byteLength);
    if (!this.ignoreBOM && [0xef, 0xbb, 0xbf].every((byte, index) => bytes[index] === byte)) bytes = bytes.subarray(3);
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
    const { length, isWhole } = character(bytes, index);
    text += isWhole ? decodeURIComponent(Array.from(bytes.subarray(index, index + length), escape).join('')) : '\ufffd';
    index += length;
  }
  return text;
}

// Returns the number of bytes that are the longest beginning of a character, at least 1, and whether they are all of it.
function character(bytes, start) {
  const lead = bytes[start];
  const size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  // The second byte must make neither an overlong form, nor a surrogate, nor a number beyond U+10FFFF.
  const second = { 0xe0: [0xa0, 0xbf], 0xed: [0x80, 0x9f], 0xf0: [0x90, 0xbf], 0xf4: [0x80, 0x8f] }[lead];
  let length = 1;
  while (length < size) {
    const [least, most] = (length === 1 && second) || [0x80, 0xbf];
    const byte = bytes[start + length];
    if (byte === undefined || byte < least || byte > most) break;
    length += 1;
  }
  return { length, isWhole: length === size };
}
