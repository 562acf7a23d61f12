// The exports of the component.

import * as request from 'carya:host/request@0.2.0';
import { Reader, Writer, handle } from './database.js';
import { describe } from './error.js';
import { Access } from './hooks.js';
import { Problem } from './problem.js';
import { program } from './program.js';
import { Reply } from './reply.js';
import { HandlerRequest } from './request.js';
import { problem, toResponse } from './response.js';
import { finish, start } from './runtime.js';
import { settle } from './settle.js';
import { random, setState } from './xoshiro.js';

// Runs `work` and returns its result, converted by `done`. A problem is converted by `refused`, if there is such a
// function. Every other exception fails the call with its text: an `Error` would trap, and its message would be lost.
function run(db, work, done, refused) {
  start();
  const end = () => db?.end();
  const succeeded = (value) => {
    const result = done(value);
    end();
    return result;
  };
  const failed = (error) => {
    end();
    if (error instanceof Problem && refused !== undefined) return refused(error);
    throw describe(error);
  };
  return finish(settle(() => settle(work, succeeded, fail), (value) => value, failed));
}

function fail(error) {
  throw error;
}

const toHost = (value) => toResponse(value).toHost();
const refuse = (error) => problem(error).toHost();
const nothing = () => undefined;

function controller(handlers, db) {
  const work = () => handler(handlers)(new HandlerRequest(), db);
  return run(db, work, toHost, refuse);
}

function handler(handlers) {
  const [method, pattern] = [request.method(), request.route() ?? ''];
  // The function for GET serves HEAD too, unless there is one for HEAD.
  const found = handlers.get(`${method} ${pattern}`) ?? (method === 'HEAD' ? handlers.get(`GET ${pattern}`) : undefined);
  if (found !== undefined) return found;
  // The host compares the routes of the configuration with those of the component when it loads the component, so this
  // error means that an `on-route` hook has chosen another access mode.
  throw new Error('no function of this component serves this route with this method and access mode');
}

export const readController = { read: (db) => controller(program.routes['read-only'], new Reader(db)) };
export const writeController = { write: (db) => controller(program.routes['read-write'], new Writer(db)) };
export const plainController = { plain: () => controller(program.routes.none, undefined) };

export const onRoute = {
  onRoute() {
    const decide = (value) => {
      if (value === undefined) return { tag: 'proceed' };
      return value instanceof Access ? { tag: 'access', val: value.mode } : { tag: 'answer', val: toHost(value) };
    };
    const work = () => program.hooks['on-route'](new HandlerRequest());
    return run(undefined, work, decide, (error) => ({ tag: 'answer', val: refuse(error) }));
  },
};

const answer = (value) => (value === undefined ? undefined : toHost(value));

export const before = {
  before(raw) {
    const db = handle(raw);
    return run(db, () => program.hooks.before(new HandlerRequest(), db), answer, refuse);
  },
};

export const after = {
  after(raw) {
    const db = handle(raw);
    return run(db, () => program.hooks.after(new HandlerRequest(), new Reply(), db), nothing);
  },
};

export const onError = {
  onError(raw, failure) {
    const db = handle(raw);
    return run(db, () => program.hooks['on-error'](new HandlerRequest(), failure, new Reply(), db), answer, refuse);
  },
};

export const model = {
  init(raw) {
    const db = new Writer(raw);
    return run(db, () => program.hooks.model(db), nothing);
  },
};

export const actions = {
  run({ id, name, payload, outcome, attempt, requestId }, raw) {
    const db = new Writer(raw);
    const work = () => {
      const action = program.actions.get(name);
      if (action === undefined) throw new Error(`this component has no action \`${name}\``);
      return action(db, JSON.parse(payload), { id, number: attempt, committed: outcome === 'commit', requestId });
    };
    return run(db, work, nothing);
  },
};

export const reseed = {
  reseed(...seeds) {
    setState(Uint32Array.from(seeds, (seed) => Number(BigInt.asUintN(32, BigInt(seed)))));
    // StarlingMonkey cannot seed its own generator.
    Math.random = random;
  },
};
