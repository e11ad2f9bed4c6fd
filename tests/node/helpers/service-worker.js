/** A worker with a service of its own, for tests of calls alone: a generator that counts what it was asked for, and failures. */
import { ownerPort } from '../../../web/runtime.js';
import { HalfspaceError } from '../../../web/errors.js';
import { serve } from '../../../web/remote/server.js';

class Thing {
  /** @param {number} n */
  constructor(n) {
    this.n = n;
  }
}

let counted = 0;
let ended = 0;

serve(ownerPort(), {
  methods: {
    async *count() {
      try {
        for (;;) yield ++counted;
      } finally {
        ended++;
      }
    },
    async *few(/** @type {{onEnd: (n: number) => void, signal?: AbortSignal}} */ { onEnd }) {
      yield 1;
      yield 2;
      onEnd(2);
    },
    async *until(/** @type {{signal: AbortSignal}} */ { signal }) {
      for (let n = 1; !signal.aborted; n++) yield n;
      throw new HalfspaceError('aborted', 'aborted by the caller');
    },
    counted: () => ({ counted, ended }),
    fail: () => {
      throw new TypeError('as it was');
    },
    stream: (/** @type {ReadableStream} */ stream) => stream.pipeThrough(new TransformStream()),
    things: (/** @type {{each: (thing: Thing) => void}} */ { each }) => {
      each(new Thing(1));
      return new Thing(2);
    },
    sum: (/** @type {Thing[]} */ things) => things.reduce((sum, { n }) => sum + n, 0),
    wait: () => new Promise(() => {}),
  },
  handle: (value) =>
    value instanceof Thing ? { methods: { square: () => value.n ** 2, free: () => {} }, data: { n: value.n } } : undefined,
  state: () => counted,
});
