// Hooks, `init` and actions.

import * as identitySetter from 'carya:host/identity-setter@0.2.0';
import * as contextMap from 'carya:host/context@0.2.0';
import { hostCall } from './host.js';
import { addAction, addHook } from './program.js';

export const onRoute = (hook) => addHook('on-route', hook);
export const before = (hook) => addHook('before', hook);
export const after = (hook) => addHook('after', hook);
export const onError = (hook) => addHook('on-error', hook);
export const init = (work) => addHook('model', work);
export const action = (name, work) => addAction(name, work);

// The decision of an `onRoute` hook to proceed with another access mode.
export class Access {
  constructor(mode) {
    this.mode = mode;
  }
}

export const access = (mode) => new Access(mode);

export function setIdentity(subject, claims = {}) {
  hostCall(() => identitySetter.set(subject, JSON.stringify(claims)));
}

export const context = {
  get: (key) => contextMap.get(key) ?? undefined,
  set: (key, value) => hostCall(() => contextMap.set(key, value)),
};
