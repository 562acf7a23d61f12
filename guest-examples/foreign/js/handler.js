// HTTP server by the `fetch` event of componentize-js, with one addition for carya: it writes rows through
// `carya:host/current`. Serves the paths that `../wstd` lists, and three more: `out` sends a request to the URL in the
// body, `stream` streams its response, and `broken` fails within the stream.

import { get } from 'carya:host/current@0.2.0';

addEventListener('fetch', (event) => event.respondWith(respond(event.request)));

async function respond(request) {
  const path = new URL(request.url).pathname.split('/').pop();
  const body = await request.text();
  switch (path) {
    case 'echo': {
      const headers = new Headers({ 'x-sdk': 'js', 'x-sent': request.headers.get('x-sent') ?? 'none' });
      headers.append('set-cookie', 'a=1');
      headers.append('set-cookie', 'b=2');
      return new Response(`${request.method} ${body}`, { headers });
    }
    case 'row':
      insert(body);
      return new Response('written', { status: 201 });
    case 'out': {
      const response = await fetch(body);
      return new Response(`${response.status} ${await response.text()}`);
    }
    case 'stream':
      insert(body);
      return new Response(stream(() => {}));
    case 'broken':
      insert(body);
      return new Response(stream(() => { throw new Error('within the stream'); }));
    default:
      insert(body);
      throw new Error('after the row');
  }
}

function insert(mark) {
  const { tag, val: db } = get();
  if (tag !== 'writer') throw new Error(`no writer but ${tag}`);
  db.execute('INSERT INTO marks VALUES (?)', [{ tag: 'text', val: mark }]);
}

// Streams three parts. `between` runs before the second one.
function stream(between) {
  const encoder = new TextEncoder();
  let part = 0;
  return new ReadableStream({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (part === 1) between();
      if (part === 3) return controller.close();
      controller.enqueue(encoder.encode(`part${part}`));
      part += 1;
    },
  });
}
