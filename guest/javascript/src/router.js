import { addRoute } from './program.js';

function add(method, pattern, ...rest) {
  const [options, handler] = rest.length > 1 ? rest : [{}, rest[0]];
  addRoute(method, pattern, handler, options);
  return router;
}

export const router = {
  get: (...args) => add('GET', ...args),
  head: (...args) => add('HEAD', ...args),
  post: (...args) => add('POST', ...args),
  put: (...args) => add('PUT', ...args),
  patch: (...args) => add('PATCH', ...args),
  delete: (...args) => add('DELETE', ...args),
  options: (...args) => add('OPTIONS', ...args),
  route: (method, ...args) => add(method, ...args),
};
