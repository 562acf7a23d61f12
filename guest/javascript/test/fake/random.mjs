// wasi:random/random

import { randomBytes } from 'node:crypto';

export const getRandomBytes = (length) => new Uint8Array(randomBytes(Number(length)));
