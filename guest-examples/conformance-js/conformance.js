// Controller that uses each part of the library once, for the tests that compare the languages.
//
// Returns the same responses as `conformance` (Rust), byte for byte: change them together. Statements, parameters and faults
// come from the request, so `tests/languages/` has the cases.

import {
  Checks, DbError, Problem, action, bytes, float64, json, noContent, redirect, respond, router, rows, tagged, text,
} from 'carya-guest';
import * as v from 'valibot';

const caught = (work) => {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    return json(describe(error), 409);
  }
};

router.get('/query/{how}', (req, db) => caught(() => query(req, db)));

router.post('/query/{how}', (req, db) => caught(() => {
  return req.params.how === 'execute' ? { affected: db.execute(sql(req), params(req)).rowsAffected } : query(req, db);
}));

// Runs a statement inside a savepoint, and reports its error as a success.
router.post('/savepoint', (req, db) => {
  let result;
  try {
    result = db.savepoint(() => {
      db.execute("INSERT INTO notes (name) VALUES ('inside')");
      return shown(db.run(sql(req), params(req)));
    });
  } catch (error) {
    result = describe(error);
  }
  db.execute("INSERT INTO notes (name) VALUES ('outside')");
  return result;
});

router.get('/path/{name}/{*rest}', (req) => ({
  all: req.queryAll('x'),
  first: req.query('x') ?? null,
  header: req.header('x-name') ?? null,
  method: req.method,
  name: req.params.name,
  path: req.path,
  rest: req.params.rest,
}));

router.get('/number/{number}', (req) => [String(req.intParam('number'))]);

router.get('/search', (req) => {
  const { word = null } = req.validQuery(v.object({ word: v.optional(v.string()) }));
  return [word];
});

router.get('/problem/{kind}', (req) => {
  const { kind } = req.params;
  if (kind === 'login') return new Problem(401, 'log in', { headers: { 'www-authenticate': 'Basic' } });
  if (kind !== 'fields') return new Problem(Number(kind), 'a detail');
  new Checks()
    .check('name', false, 'must be "short"\n')
    .check('größe', false, 'must be \u0001, \u007f or \u2028 🌰')
    .check('name', false, 'must be a name')
    .check('sound', true, 'must be sound')
    .finish();
});

router.post('/flash', (req) => redirect('/flash', { flash: req.text() }));

router.get('/flash', (req) => req.forgetFlash(req.flash ?? 'no message'));

router.get('/cookie', (req) => {
  const theme = req.cookie('theme') ?? null;
  return json([theme]).withCookie('theme', theme ?? 'dark', { maxAge: 60, path: '/cookie', secure: true });
});

router.get('/tagged/{version}', (req) => tagged(req.params.version, [req.params.version]));

router.put('/tagged/{version}', (req) => {
  req.requireVersion(req.params.version);
  return noContent();
});

router.post('/json', (req) => {
  const found = req.json()?.text;
  return [typeof found === 'string' ? found : null];
});

router.post('/form', (req) => {
  const form = req.form();
  const files = form.files('file').map(({ name, contentType, content }) => [name, contentType ?? null, hex(content)]);
  return { files, text: form.text('text') ?? null };
});

router.post('/text', (req, db) => {
  db.execute('INSERT INTO texts (text) VALUES (?)', [req.text()]);
  return text(db.value('SELECT text FROM texts'));
});

router.post('/bytes', (req) => bytes(req.bytes()));

// Adds a note and fails, so that the note must not remain.
router.post('/fail/{how}', (req, db) => {
  db.execute("INSERT INTO notes (name) VALUES ('lost')");
  const response = noContent();
  switch (req.params.how) {
    case 'error':
      throw new Error('a failure of the guest');
    case 'trap':
      throw new Error('a trap of the guest');
    case 'recursion':
      return respond(depth(1));
    case 'statement':
      db.execute("UPDATE nowhere SET name = 'x'");
      return response;
    case 'problem':
      return Problem.conflict('a problem of the client');
    case 'marked':
      db.markRollback();
      return response;
    case 'status':
      return response.withStatus(99);
    case 'line-break':
      return response.withHeader('x-name', 'a\nb');
    default:
      return response.withHeader('content-length', '7');
  }
});

router.post('/action/{how}', (req, db) => {
  const job = { text: req.text() };
  switch (req.params.how) {
    case 'commit':
      db.afterCommit(note, job, 'at-least-once');
      return noContent();
    case 'broken':
      db.afterCommit(broken, job, 'at-most-once');
      return noContent();
    default:
      db.afterRollback(note, job);
      return Problem.conflict('a problem of the client');
  }
});

const note = action('note', (db, job, attempt) => {
  db.execute('INSERT INTO notes (name) VALUES (?)', [`${job.text} ${attempt.number} ${attempt.committed}`]);
});

const broken = action('broken', (db, job) => {
  db.execute('INSERT INTO notes (name) VALUES (?)', [job.text]);
  throw new Error(`a failure of the action: ${job.text}`);
});

// Runs the statement of the request with one function of the library.
function query(req, db) {
  const values = params(req);
  switch (req.params.how) {
    case 'json':
      return db.allJson(sql(req), values);
    case 'first':
      return db.firstJson(sql(req), values) ?? noContent();
    case 'typed':
      return db.all(sql(req), values).map(({ id, name, weight }) => [String(id), name, weight === null ? null : String(weight)]);
    case 'rows':
      return rows.json(sql(req), values);
    case 'csv':
      return rows.csv(sql(req), values);
    default:
      return shown(db.run(sql(req), values));
  }
}

const sql = (req) => req.query('sql') ?? '';

// Returns the parameters of the statement. They have the form in which `show` returns the values of a result.
function params(req) {
  return req.queryAll('p').map((parameter) => {
    const space = parameter.indexOf(' ');
    const value = parameter.slice(space + 1);
    switch (parameter.slice(0, Math.max(space, 0)) || parameter) {
      case 'int':
        return BigInt(value);
      case 'float': {
        const view = new DataView(new ArrayBuffer(8));
        view.setBigUint64(0, BigInt(`0x${value}`));
        return float64(view.getFloat64(0));
      }
      case 'text':
        return value;
      case 'bytes':
        return Uint8Array.from(value.match(/../g) ?? [], (digits) => parseInt(digits, 16));
      case 'true':
      case 'false':
        return parameter === 'true';
      default:
        return null;
    }
  });
}

// Returns a result. Numbers are texts, because JSON has no 64-bit integers in JavaScript.
function shown({ rowsAffected, columns, rows }) {
  return { affected: rowsAffected, columns: columns.map(({ name }) => name), rows: rows.map((row) => row.map(show)) };
}

function show(value) {
  switch (typeof value) {
    case 'boolean':
      return String(value);
    case 'bigint':
      return `int ${value}`;
    case 'number': {
      if (Number.isInteger(value) && !Object.is(value, -0)) return `int ${value}`;
      const view = new DataView(new ArrayBuffer(8));
      view.setFloat64(0, value);
      return `float ${view.getBigUint64(0).toString(16).padStart(16, '0')}`;
    }
    case 'string':
      return `text ${value}`;
    default:
      return value === null ? null : `bytes ${hex(value)}`;
  }
}

// Returns all fields of an error.
function describe({ code, constraint, detail, hint, kind, message, retryable }) {
  const violation = constraint && {
    columns: constraint.columns,
    kind: constraint.kind,
    name: constraint.name ?? null,
    table: constraint.table ?? null,
  };
  const rest = { detail: detail ?? null, hint: hint ?? null, kind, message, retryable };
  return { code: code ?? null, constraint: violation ?? null, ...rest };
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

// Calls itself until the stack is exhausted.
function depth(level) {
  return depth(level + 1) + 1;
}
