// The outcome of a case as data of JSON that keeps the types of values.

export async function outcome(work, failure) {
  try {
    return { result: encode(await work()) };
  } catch (error) {
    return { error: encode(failure(error)) };
  }
}

// Returns the fields of an error. `classes` are the classes of the mapper by their names, because a bundler changes the
// names. `databaseError` returns the fields of an error of the driver, or undefined for another error.
export function errorFields(error, classes, databaseError) {
  const ofDatabase = databaseError(error);
  if (ofDatabase !== undefined) return { database: ofDatabase };
  const [name] = Object.entries(classes).find(([, type]) => error instanceof type) ?? [error.name];
  const { message, query, params, cause } = error;
  const nested = cause instanceof Error ? errorFields(cause, classes, databaseError) : undefined;
  return { class: name, message, query, params, cause: nested };
}

function encode(value) {
  if (value === undefined) return { undefined: true };
  if (typeof value === 'bigint') return { bigint: String(value) };
  if (typeof value === 'number' && !Number.isFinite(value)) return { number: String(value) };
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof Date) return { date: Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString() };
  if (value instanceof Uint8Array) return { bytes: [...value] };
  if (Array.isArray(value)) return value.map(encode);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, encode(member)]));
}
