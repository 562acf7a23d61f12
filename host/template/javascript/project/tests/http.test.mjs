// Tests of the application over HTTP. `make test` runs them by `carya test`, which serves the application on throw-away
// databases.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { openLane } from 'carya-guest/testing';

// The application with a database of its own, so that files of tests can run in parallel.
const app = await openLane();

beforeEach(() => app.reset());

test('lists notes', async () => {
  await app.sql('INSERT INTO notes (text) VALUES (?)', ['Pecans']);
  const answer = await app.fetch('/notes');
  const [note] = await answer.json();
  assert.deepEqual([answer.status, note.text], [200, 'Pecans']);
});

test('adds a note', async () => {
  const answer = await app.fetch('/notes', { method: 'POST', body: 'Pecans' });
  assert.equal(answer.status, 201);
  assert.deepEqual(await app.sql('SELECT text FROM notes'), [{ text: 'Pecans' }]);
});

test('a refused note leaves no row', async () => {
  const answer = await app.fetch('/notes', { method: 'POST', body: ' ' });
  assert.equal(answer.status, 422);
  assert.deepEqual(await app.sql('SELECT text FROM notes'), []);
});
