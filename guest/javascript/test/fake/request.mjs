import { failure, host } from './host.mjs';

const parse = () => new URLSearchParams(host.query);
export const method = () => host.method;
export const path = () => host.path;
export const route = () => host.route;
export const param = (name) => host.params.find(([known]) => known === name)?.[1];
export const params = () => host.params;
export const query = (name) => parse().get(name) ?? undefined;
export const queryAll = (name) => parse().getAll(name);
export const queryString = () => host.query;
export const header = (name) => host.headers[name];
export const headers = () => Object.entries(host.headers).map(([name, value]) => `${name}: ${value}\n`).join('');
export const cookie = (name) => host.cookies[name];
export const body = () => host.body;
export const scheme = () => 'http';
export const authority = () => 'example.org';
export const clientAddress = () => '192.0.2.7';
export const id = () => 'request-1';

export function bodyText() {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(host.body);
  } catch {
    throw failure('the body is not UTF-8');
  }
}

export function form() {
  if (Array.isArray(host.form)) return host.form;
  throw failure(host.form ?? { tag: 'not-a-form' });
}
