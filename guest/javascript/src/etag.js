// Entity tags: conditional requests.

import * as request from 'carya:host/request@0.2.0';
import { Problem } from './problem.js';
import { toResponse } from './response.js';

// Returns the tag of a version. Characters that a tag cannot contain become `_`.
export function etag(version) {
  return `"${[...String(version)].map((letter) => (/[!#-~]/.test(letter) ? letter : '_')).join('')}"`;
}

export function tagged(version, value) {
  const tag = etag(version);
  const response = toResponse(value);
  const held = request.header('if-none-match');
  // `if-none-match` compares weakly (RFC 9110, 13.1.2), and 304 only answers a request that reads.
  const isHeld = held != null && contains(held, tag, true) && ['GET', 'HEAD'].includes(request.method());
  if (isHeld && response.status >= 200 && response.status < 300) response.withStatus(304).withoutBody();
  return response.withHeader('etag', tag);
}

// Returns whether the list of tags in a header field contains a tag. `*` stands for all tags.
export function contains(list, tag, isWeak) {
  const known = list.split(',').map((text) => (isWeak ? text.trim().replace(/^W\//, '') : text.trim()));
  return known.some((text) => text === '*' || text === tag);
}

// Checks that the client has read the present version. `if-match` compares strongly (RFC 9110, 13.1.1).
export function checkVersion(list, version, isRequired) {
  if (list === undefined) {
    if (isRequired) throw new Problem(428, 'send the header `if-match` with the version that you read');
    return;
  }
  const tag = etag(version);
  if (!contains(list, tag, false)) {
    throw new Problem(412, 'this has changed since you read it', { headers: { etag: tag } });
  }
}
