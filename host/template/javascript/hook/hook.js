// Hook that logs each request and adds the header `x-{{name}}` to each response.

import { after, before, log } from 'carya-guest';

// Runs before the controller. If it threw or returned a problem, this would be the response, and no controller would run.
before((req) => {
  log.info(req.method, req.path);
});

// Runs after the controller. With a priority of 100 or more it runs inside the transaction, and its errors roll back.
after((req, reply) => {
  reply.setHeader('x-{{name}}', 1);
});
