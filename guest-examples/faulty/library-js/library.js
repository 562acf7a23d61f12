// Controller and hook on the JavaScript library for guests. The path of a request selects what it does.

import {
  Problem, after, before, context, dbError, init, json, log, noContent, onError, onRoute, router, setIdentity, settingText,
} from 'carya-guest';

router.get('/late', async (req, db) => {
  const [first, second] = await Promise.all([1, 2].map(async (n) => db.value('SELECT ? + 1', [n])));
  for await (const part of parts()) log.debug(part);
  // Nothing waits for this, but it is part of the call.
  Promise.resolve('unawaited').then((text) => log.info('later:', text));
  return json([first, second]);
});

async function* parts() {
  yield 'a';
  await null;
  yield 'b';
}

router.get('/broken', () => broken('now'));

router.get('/late-broken', async () => {
  await null;
  return broken('later');
});

function broken(when) {
  throw new TypeError(`broken ${when}`, { cause: new RangeError('deeper') });
}

router.get('/never', () => new Promise(() => {}));
router.get('/rejected', () => Promise.reject({ code: 7 }));
router.get('/nothing', () => {});

router.get('/statement', (req, db) => db.all('SELECT * FROM nowhere'));
router.get('/forced-handle', (req, db) => db.raw.execute('INSERT INTO marks (text) VALUES (?)', []));
router.get('/forced-statement', (req, db) => db.all("INSERT INTO marks (text) VALUES ('forced') RETURNING text"));

let kept;
router.get('/keep', (req, db) => {
  kept = db;
  return noContent();
});
router.get('/kept', () => kept?.value('SELECT 1') ?? 'nothing was kept');

router.get('/large-integer', (req, db) => String(db.value('SELECT 9007199254740993')));

router.get('/random', () => {
  return json([Math.random(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(4))], Date.now()]);
});

router.get('/console', () => {
  console.log('to the log', { a: [1] });
  console.error(new Error('as an error'));
  return noContent();
});

// An error in a savepoint undoes the savepoint alone.
router.post('/nested', async (req, db) => {
  db.execute("INSERT INTO marks (text) VALUES ('outer')");
  for (let round = 0; round < 40; round += 1) db.savepoint(() => db.value('SELECT 1'));
  const failed = await db.savepoint(async () => {
    db.execute("INSERT INTO marks (text) VALUES ('inner')");
    await null;
    db.execute("INSERT INTO marks (text) VALUES ('outer')");
  }).catch((error) => error);
  const { kind, columns } = dbError(failed).constraint;
  return json({ kind, columns, marks: db.values('SELECT text FROM marks ORDER BY text') });
});

router.post('/marked', (req, db) => {
  db.executeBatch('INSERT INTO marks (text) VALUES (?)', [['a'], ['b']]);
  db.markRollback();
  return json(db.value('SELECT count(*) FROM marks'));
});

router.post('/outbound', { transaction: 'none' }, async (req) => {
  const response = await fetch(req.text());
  return `${response.status} ${await response.text()}`;
});

router.get('/whoami', (req) => json([req.requireIdentity().subject, req.identity.claim('roles'), context.get('seen')]));
router.post('/violated', (req, db) => {
  db.execute("INSERT INTO marks (text) VALUES ('first')");
  return noContent();
});

onRoute((req) => {
  const name = req.header('x-name');
  if (name === 'intruder') return Problem.forbidden('not you');
  if (name !== undefined) setIdentity(name, { roles: ['admin'] });
});
before(async (req) => {
  await null;
  context.set('seen', `${req.route} before`);
});
after((req, reply) => reply.setHeader('x-after', `${reply.status} ${settingText('name')}`));
onError((req, failure) => {
  if (failure.constraint?.kind === 'unique') return Problem.conflict('there is such a mark already');
});
init((db) => db.execute("INSERT INTO marks (text) VALUES ('first')"));
