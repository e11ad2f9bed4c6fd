/** Messages between page and worker, in both directions: calls, their arguments and marks, and answers. */
import assert from 'node:assert/strict';
import { MessageChannel } from 'node:worker_threads';

import fc from 'fast-check';

import { HalfspaceError } from '../../../web/errors.js';
import { Remote } from '../../../web/remote/client.js';
import { serve } from '../../../web/remote/server.js';
import { unpackError } from '../../../web/remote/wire.js';
import { anyValue } from '../mutate.js';
import { checkRefusal, worksOrRefuses } from '../oracle.js';

const mark = fc.record({ '@halfspace': fc.oneof(fc.constantFrom('function', 'signal', 'handle', 'constructor'), anyValue), id: anyValue, aborted: anyValue, data: anyValue }); // prettier-ignore
const argument = fc.oneof(
  anyValue,
  mark,
  fc.array(mark, { maxLength: 3 }),
  fc.dictionary(fc.string({ maxLength: 4 }), mark, { maxKeys: 2 }),
);
const call = fc.record(
  {
    method: fc.oneof(fc.constantFrom('echo', 'count', 'make', 'free', 'call', 'toString'), anyValue),
    target: fc.oneof(fc.constantFrom(0, 0, 0, 1), anyValue),
    args: fc.oneof({ weight: 5, arbitrary: fc.array(argument, { maxLength: 3 }) }, anyValue),
    lock: anyValue,
  },
  { requiredKeys: ['method', 'target', 'args'] },
);
const between = fc.oneof(anyValue, fc.record({ more: anyValue }), fc.record({ abort: anyValue }), fc.constant({ stop: true }));
const answer = fc.oneof(
  anyValue,
  fc.record({ piece: argument }),
  fc.record({ value: argument }),
  fc.record({ call: anyValue, args: fc.oneof(anyValue, fc.array(argument, { maxLength: 2 })) }),
  fc.record({ error: fc.oneof(anyValue, fc.record({ code: anyValue, message: anyValue, details: anyValue, place: anyValue }, { requiredKeys: [] })), state: anyValue }), // prettier-ignore
);

/** What structured clone leaves out of a message is not what is tested. @param {unknown} value */
function cloneable(value) {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

class Kept {}

function service() {
  return {
    methods: {
      echo: (/** @type {unknown[]} */ ...args) => args.length,
      call: (/** @type {unknown} */ f) => (typeof f === 'function' ? f(1) : undefined),
      async *count() {
        for (let i = 0; i < 12; i++) yield i;
      },
      make: () => new Kept(),
    },
    handle: (/** @type {unknown} */ value) => (value instanceof Kept ? { methods: { free() {} }, data: {} } : undefined),
    state: () => 'state',
  };
}

/** @type {unknown[]} */
const uncaught = [];
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** What a call gives to a caller who takes every piece. @param {any} owner @param {object} message @param {unknown[]} sent */
async function ask(owner, message, sent) {
  const { port1, port2 } = new MessageChannel();
  const end = new Promise((resolve) =>
    port1.on('message', (data) => ('value' in data || 'error' in data ? resolve(data) : port1.postMessage({ more: 1 }))),
  );
  owner.postMessage({ ...message, port: port2 }, [port2]);
  for (const one of sent) port1.postMessage(one);
  const result = await end;
  port1.close();
  return /** @type {any} */ (result);
}

/** @returns {Promise<import('../run-target.js').Target>} */
export async function target() {
  process.on('uncaughtException', (error) => uncaught.push(error));
  const { port1: page, port2: worker } = new MessageChannel();
  serve(/** @type {any} */ (worker), service());
  return {
    arbitrary: fc.record({
      message: call,
      sent: fc.array(between, { maxLength: 3 }),
      answers: fc.array(answer, { minLength: 1, maxLength: 4 }),
      alone: anyValue,
    }),
    async run({ message, sent, answers, alone }) {
      if (![message, sent, answers, alone].every(cloneable)) return;
      page.postMessage(alone);
      if (typeof message.lock !== 'string') {
        const { error } = await ask(page, message, sent);
        if (error) checkRefusal(unpackError(error));
      }
      await worksOrRefuses(() => callAnswered(answers));
      await nextTurn();
      assert.deepEqual(uncaught.splice(0).map(String), []);
    },
    async good() {
      assert.equal((await ask(page, { method: 'echo', target: 0, args: [1, 2] }, [])).value, 2);
      assert.equal(await callAnswered([{ value: 7 }]), 7);
    },
    async close() {
      page.close();
    },
  };
}

/** @param {any} answer */
const hasOther = (answer) => typeof answer?.error === 'object' && answer.error !== null && 'other' in answer.error;

/** A call of the page that gets these answers, and a value where they do not end it. @param {unknown[]} answers */
async function callAnswered(answers) {
  /** @type {any} */
  let port;
  const handle = { listen() {}, ref() {}, unref() {}, terminate() {}, post: (/** @type {any} */ message) => (port = message.port) };
  const remote = new Remote(handle, () => ({}));
  const called = remote.call('echo', [() => {}]);
  for (const one of answers) port.postMessage(one);
  port.postMessage({ value: 'end' });
  try {
    return await called;
  } catch (error) {
    // What a worker's code threw is handed on as it is, with the details that it has.
    if (error instanceof HalfspaceError ? typeof error.code !== 'string' : !answers.some(hasOther)) throw error;
  } finally {
    port.close();
    remote.close();
  }
}
