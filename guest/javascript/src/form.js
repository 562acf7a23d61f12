// Forms.

import { ownBytes } from './bytes.js';
import { Problem } from './problem.js';
import { validate } from './schema.js';

export class Form {
  #fields;

  constructor(fields) {
    // All text fields must be UTF-8, also those that the handler does not read.
    this.#fields = fields.map((field) => (field.fileName == null ? { ...field, text: content(field) } : field));
  }

  text(name) {
    return this.texts(name)[0];
  }

  texts(name) {
    return this.#named(name).filter((field) => field.fileName == null).map((field) => field.text);
  }

  file(name) {
    return this.files(name)[0];
  }

  files(name) {
    const files = this.#named(name).filter((field) => field.fileName != null);
    return files.map(({ fileName, contentType, value }) => {
      return { name: fileName, contentType: contentType ?? undefined, content: ownBytes(value) };
    });
  }

  // Returns the text fields as an object. A field that occurs more than once is an array.
  toObject() {
    return fromPairs(this.#fields.filter((field) => field.fileName == null).map((field) => [field.name, field.text]));
  }

  validate(schema) {
    return validate(schema, this.toObject());
  }

  #named(name) {
    return this.#fields.filter((field) => field.name === name);
  }
}

export function fromPairs(pairs) {
  // Without a prototype, so that no name of a field finds a member of `Object`.
  const object = Object.create(null);
  for (const [name, value] of pairs) {
    if (!(name in object)) object[name] = value;
    else if (Array.isArray(object[name])) object[name].push(value);
    else object[name] = [object[name], value];
  }
  return object;
}

function content({ name, value }) {
  try {
    return utf8(value);
  } catch {
    throw Problem.badRequest(`the field \`${name}\` is not UTF-8`);
  }
}

// Decodes UTF-8 without `TextDecoder`, which QuickJS lacks. Throws an error for malformed bytes.
function utf8(bytes) {
  let encoded = '';
  for (const byte of bytes) encoded += byte < 0x80 && byte !== 0x25 ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`;
  return decodeURIComponent(encoded);
}

export function formProblem({ tag, val }) {
  switch (tag) {
    case 'malformed':
      return Problem.badRequest(`the form is malformed: ${val}`);
    case 'limit':
      return new Problem(413, `the form is too large: ${val}`);
    default:
      return new Problem(415, 'send a form: `application/x-www-form-urlencoded` or `multipart/form-data`');
  }
}
