// Client of `carya test`, for tests in Node.js.

const HINT = 'run the tests by `carya test`';

export class Lane {
  #control;

  constructor(control, { lane, url }) {
    this.#control = `${control}/lanes/${lane}`;
    this.url = url;
  }

  fetch(path, init) {
    return fetch(`${this.url}${path}`, { redirect: 'manual', ...init });
  }

  async sql(statement, params = [], { database } = {}) {
    const response = await send('POST', `${this.#control}/sql`, { sql: statement, params, database });
    return response.json();
  }

  async reset() {
    await send('POST', `${this.#control}/reset`);
  }

  async setReplicas(state, { database } = {}) {
    await send('PUT', `${this.#control}/replicas`, { state, database });
  }
}

export async function openLane() {
  const control = process.env.CARYA_TEST_CONTROL;
  if (control === undefined) throw new Error(`CARYA_TEST_CONTROL is not set; ${HINT}`);
  const response = await send('POST', `${control}/lanes`);
  return new Lane(control, await response.json());
}

async function send(method, url, body) {
  const response = await fetch(url, { method, body: body && JSON.stringify(body) }).catch((error) => {
    throw new Error(`cannot reach the control of \`carya test\`; ${HINT}`, { cause: error });
  });
  if (!response.ok) throw new Error(await response.text());
  return response;
}
