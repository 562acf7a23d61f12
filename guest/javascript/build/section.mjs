// Custom sections of WebAssembly.

// Returns a component with a custom section at its end.
export function appendSection(component, name, text) {
  const content = Buffer.concat([vector(Buffer.from(name)), Buffer.from(text)]);
  return Buffer.concat([component, Buffer.from([0]), vector(content)]);
}

// Returns bytes after their length.
function vector(bytes) {
  return Buffer.concat([leb128(bytes.length), bytes]);
}

function leb128(number) {
  const bytes = [];
  let rest = number;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.from(bytes);
}
