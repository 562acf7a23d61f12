import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { openLane } from '../src/testing.js';

/** Requests that the control has received: method, path and body. */
const received = [];

// A control with one lane. It refuses statements on the table `absent`.
const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  received.push([request.method, request.url, body && JSON.parse(body)]);
  if (request.url === '/token/lanes') {
    response.end(JSON.stringify({ lane: 3, url: 'http://127.0.0.1:1' }));
  } else if (body.includes('absent')) {
    response.writeHead(400).end('no such table: absent');
  } else if (request.url === '/token/lanes/3/sql') {
    response.end('[{"n":1}]');
  } else {
    response.writeHead(204).end();
  }
});

let lane;

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.env.CARYA_TEST_CONTROL = `http://127.0.0.1:${server.address().port}/token`;
  lane = await openLane();
});

after(() => {
  server.close();
  server.closeAllConnections?.();
});

test('a lane sends its requests to the control', async () => {
  received.length = 0;
  await lane.reset();
  assert.deepEqual(await lane.sql('SELECT ? AS n', [1], { database: 'other' }), [{ n: 1 }]);
  await lane.setReplicas('lagging');
  await lane.setReplicas('gone', { database: 'other' });
  assert.deepEqual(received, [
    ['POST', '/token/lanes/3/reset', ''],
    ['POST', '/token/lanes/3/sql', { sql: 'SELECT ? AS n', params: [1], database: 'other' }],
    ['PUT', '/token/lanes/3/replicas', { state: 'lagging' }],
    ['PUT', '/token/lanes/3/replicas', { state: 'gone', database: 'other' }],
  ]);
});

test('a refusal of the control is an error', async () => {
  await assert.rejects(lane.sql('SELECT * FROM absent'), { message: 'no such table: absent' });
});
