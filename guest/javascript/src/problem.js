// Errors of handlers as problem details (RFC 9457).

const PHRASES = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  410: 'Gone',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  428: 'Precondition Required',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

export class Problem extends Error {
  constructor(status, detail, { title, type, errors, members, headers } = {}) {
    super(detail);
    this.name = 'Problem';
    this.status = status;
    this.title = title ?? PHRASES[status] ?? 'Error';
    this.detail = detail;
    this.type = type;
    this.errors = errors;
    this.members = members;
    this.headers = headers ?? {};
  }

  static badRequest(detail) { return new Problem(400, detail); }
  static unauthorized(detail) { return new Problem(401, detail); }
  static forbidden(detail) { return new Problem(403, detail); }
  static notFound(detail) { return new Problem(404, detail); }
  static conflict(detail) { return new Problem(409, detail); }
  static preconditionFailed(detail) { return new Problem(412, detail); }
  static unprocessable(detail) { return new Problem(422, detail); }

  static invalid(errors) {
    return new Problem(422, 'some fields are not valid', { errors });
  }

  // The order of the members is that of the other guest libraries.
  toJSON() {
    const { detail, errors, status, title, type, members } = this;
    return { detail, errors, status, title, type, ...members };
  }
}

export class Checks {
  #errors = new Map();

  check(field, valid, rule) {
    if (!valid && !this.#errors.has(field)) this.#errors.set(field, rule);
    return this;
  }

  finish() {
    if (this.#errors.size > 0) throw Problem.invalid(Object.fromEntries(this.#errors));
  }
}
