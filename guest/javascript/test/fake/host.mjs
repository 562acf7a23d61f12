// State of the fake host, which tests set and read.

export const host = {};

export function reset(changes = {}) {
  Object.assign(host, {
    method: 'GET',
    path: '/',
    route: '/',
    params: [],
    query: '',
    headers: {},
    cookies: {},
    body: new Uint8Array(),
    form: undefined,
    subject: undefined,
    claims: {},
    settings: {},
    context: new Map(),
    logged: [],
    reply: { status: 200, headers: [], body: new Uint8Array() },
    ...changes,
  });
}

// The exception of a failed function of the host.
export function failure(payload) {
  return Object.assign(new Error('the host function failed'), { payload });
}

reset();
