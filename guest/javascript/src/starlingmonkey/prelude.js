// Texts of the host on StarlingMonkey. The build command puts this module before all others.

// The generated bindings decode each text of the host with a decoder that drops a byte order mark (U+FEFF) at its beginning.
// They have made the decoder before this module runs, so replace its function `decode`. Decoders of programs keep the
// behaviour that the standard defines.
const Native = globalThis.TextDecoder;
const { decode } = Native.prototype;
const exact = new Native('utf-8', { ignoreBOM: true });

Native.prototype.decode = (bytes) => decode.call(exact, bytes);

globalThis.TextDecoder = class TextDecoder extends Native {
  decode(...args) {
    return decode.apply(this, args);
  }
};
