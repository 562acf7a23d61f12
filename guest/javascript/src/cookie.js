// Values of cookies.

// Percent-encodes all characters except letters, digits and `-._~`.
function encode(value) {
  return encodeURIComponent(value).replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
}

// Decodes a value as `encode` encodes it. A value that is not UTF-8 afterwards stays as it is.
export function decode(value) {
  try {
    return value.replace(/(?:%[0-9a-f]{2})+/gi, decodeURIComponent);
  } catch {
    return value;
  }
}

export function setCookie(name, value, { maxAge, path = '/', secure = false } = {}) {
  const age = maxAge === undefined ? '' : `; Max-Age=${maxAge}`;
  return `${name}=${encode(value)}; Path=${path}${age}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`;
}
