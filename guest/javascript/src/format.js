// Values as text, for the log.

import { describe } from './error.js';

export function format(values) {
  return values.map((value) => (typeof value === 'string' ? value : show(value))).join(' ');
}

function show(value) {
  if (value instanceof Error) return describe(value);
  if (typeof value === 'function') return `[function ${value.name || 'anonymous'}]`;
  if (value === null || typeof value !== 'object') return typeof value === 'bigint' ? `${value}n` : String(value);
  const parents = [];
  const text = JSON.stringify(value, function (_key, member) {
    if (typeof member === 'bigint') return `${member}n`;
    if (member === null || typeof member !== 'object') return member;
    // `this` is the object that contains the member.
    while (parents.length > 0 && parents.at(-1) !== this) parents.pop();
    if (parents.includes(member)) return '[circular]';
    parents.push(member);
    if (member instanceof Map || member instanceof Set) return [...member];
    return member;
  });
  return text ?? String(value);
}
