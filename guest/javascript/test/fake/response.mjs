import { failure, host } from './host.mjs';

export const status = () => host.reply.status;
export const header = (name) => host.reply.headers.find(([known]) => known === name)?.[1];
export const headers = () => host.reply.headers.map(([name, value]) => `${name}: ${value}\n`).join('');
export const body = () => host.reply.body;
export const setStatus = (status) => { host.reply.status = status; };
export const setBody = (body) => { host.reply.body = body; };
export const appendHeader = (name, value) => { host.reply.headers.push([name, value]); };
export const removeHeader = (name) => { host.reply.headers = host.reply.headers.filter(([known]) => known !== name); };

export function setHeader(name, value) {
  if (/[\r\n]/.test(value)) throw failure(`the header \`${name}\` contains a line break`);
  removeHeader(name);
  appendHeader(name, value);
}
