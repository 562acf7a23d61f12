import { failure, host } from './host.mjs';

export function set(subject, claims) {
  if (host.subject !== undefined) throw failure('the identity is set already');
  host.subject = subject;
  host.claims = JSON.parse(claims);
}
