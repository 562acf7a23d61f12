// Validation of input by any library that implements Standard Schema, such as Valibot, Zod and ArkType.

import { Problem } from './problem.js';
import { isPromise } from './settle.js';

// Returns the output of a schema. Throws a problem with status 422 that lists the invalid fields.
export function validate(schema, value) {
  const result = schema['~standard'].validate(value);
  if (isPromise(result)) throw new TypeError('the schema validates asynchronously, which is not supported');
  if (result.issues === undefined) return result.value;
  throw problem(result.issues, value);
}

function problem(issues, value) {
  const errors = {};
  let general;
  for (const { message, path = [] } of issues) {
    const keys = path.map((part) => (part !== null && typeof part === 'object' ? part.key : part));
    const field = keys.join('.');
    if (field === '') general ??= message;
    else errors[field] ??= isMissing(value, keys) ? 'is missing' : message;
  }
  return Object.keys(errors).length > 0 ? Problem.invalid(errors) : Problem.unprocessable(general);
}

function isMissing(value, keys) {
  const parent = keys.slice(0, -1).reduce((found, key) => found?.[key], value);
  return parent !== null && typeof parent === 'object' && !(keys.at(-1) in parent);
}
