// The functions that a guest has registered, for the exports of the component and for the build command.

import { DISPLAY, checkPattern } from './pattern.js';

const ACCESS = { 'read-only': 'read', 'read-write': 'write', none: 'plain' };

// Access mode of a method, unless the route sets `transaction`.
export function accessOf(method) {
  if (method === 'GET' || method === 'HEAD') return 'read-only';
  return method === 'OPTIONS' || method === 'TRACE' ? 'none' : 'read-write';
}

export const program = {
  // Handlers by access mode, and by method and pattern.
  routes: { 'read-only': new Map(), 'read-write': new Map(), none: new Map() },
  hooks: {},
  actions: new Map(),
};

export function addRoute(method, pattern, handler, { transaction = accessOf(method) } = {}) {
  const name = `${method} ${pattern}`;
  if (!(transaction in ACCESS)) {
    throw new TypeError(`${name}: transaction is "read-only", "read-write" or "none", not ${JSON.stringify(transaction)}`);
  }
  if (typeof handler !== 'function') throw new TypeError(`${name} has no function: router.get("/path", (req, db) => ..)`);
  checkPattern(pattern);
  if (Object.values(program.routes).some((handlers) => handlers.has(name))) throw new TypeError(`${name} has a function already`);
  program.routes[transaction].set(name, handler);
}

export function addHook(phase, hook) {
  if (typeof hook !== 'function') throw new TypeError(`${DISPLAY[phase]} takes a function`);
  if (program.hooks[phase] !== undefined) throw new TypeError(`a component has one function for ${DISPLAY[phase]}`);
  program.hooks[phase] = hook;
}

export function addAction(name, work) {
  if (typeof name !== 'string' || name === '') throw new TypeError('an action has a name: action("name", (db, payload) => ..)');
  if (typeof work !== 'function') throw new TypeError(`action ${name} takes a function`);
  if (program.actions.has(name)) throw new TypeError(`there are two actions ${name}`);
  program.actions.set(name, work);
  return { name };
}

// Returns the routes as the custom section `carya:routes` lists them, and the interfaces that the component exports.
export function describeProgram() {
  const lines = [];
  const exports = [];
  for (const [transaction, handlers] of Object.entries(program.routes)) {
    if (handlers.size > 0) exports.push(`${ACCESS[transaction]}-controller`);
    for (const name of handlers.keys()) {
      const [method, ...pattern] = name.split(' ');
      lines.push(`${method} ${transaction} ${pattern.join(' ')}\n`);
    }
  }
  exports.push(...Object.keys(program.hooks));
  if (program.actions.size > 0) exports.push('actions');
  return { routes: lines.sort().join(''), exports };
}
