// Bodies with JSON.

// Texts that `JSON.parse` may read as half a surrogate pair or as an infinite number.
const DOUBTFUL = /\\u[dD][89a-fA-F]|[eE]\+?[0-9]{3}|[0-9]{300}/;

// Parses JSON like `JSON.parse`, but refuses half a surrogate pair ("\ud800"), which is not a text in the contract, and
// numbers that are too large for a float (1e400).
export function parseJson(text) {
  return JSON.parse(text, DOUBTFUL.test(text) ? refuse : undefined);
}

function refuse(key, value) {
  if (!key.isWellFormed() || (typeof value === 'string' && !value.isWellFormed())) {
    throw new SyntaxError('a text contains half a surrogate pair');
  }
  if (value === Infinity || value === -Infinity) throw new SyntaxError('a number is too large');
  return value;
}

export function isJson(mediaType) {
  const essence = mediaType.split(';')[0].trim().toLowerCase();
  return essence === 'application/json' || /^application\/.*\+json$/.test(essence);
}
