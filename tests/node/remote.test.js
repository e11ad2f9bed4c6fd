/** Calls to a worker, without an engine: back-pressure, the order of callbacks, aborts, errors, and the worker's end. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { nodeWorker } from '../../web/runtime.js';
import { Remote } from '../../web/remote/client.js';
import { serve } from '../../web/remote/server.js';
import { AHEAD, HANDLE, MAX_CALLS, unpackError } from '../../web/remote/wire.js';
import { failure } from './helpers/failure.js';

const open = () =>
  new Remote(nodeWorker(new URL('./helpers/service-worker.js', import.meta.url)), (id, data) => ({ [HANDLE]: id, ...data }));
/** @type {Remote} */
let remote;

before(() => (remote = open()));
after(() => remote.close());

/** Long enough for a worker that does not wait to be far ahead: calls are answered in turn. */
async function settle() {
  for (let i = 0; i < 20; i++) await remote.call('counted', []);
  return remote.call('counted', []);
}

test('a generator is at most AHEAD pieces ahead, ends when it is left, and starts when it is asked', async () => {
  const numbers = remote.iterate('count', []);
  assert.deepEqual(await settle(), { counted: 0, ended: 0 });
  for (let i = 1; i <= 10; i++) {
    assert.deepEqual(await numbers.next(), { done: false, value: i });
    assert.deepEqual(await settle(), { counted: i - 1 + AHEAD, ended: 0 });
  }
  await numbers.return();
  assert.deepEqual(await remote.call('counted', []), { counted: 9 + AHEAD, ended: 1 }, 'ended before return() came back');
  assert.equal(remote.state, 9 + AHEAD);
});

test('callbacks run in their place between pieces', async () => {
  /** @type {unknown[]} */
  const seen = [];
  for await (const piece of remote.iterate('few', [{ onEnd: (/** @type {number} */ n) => seen.push(`end ${n}`) }])) {
    await settle();
    seen.push(piece);
  }
  assert.deepEqual(seen, [1, 2, 'end 2']);
});

test('after an abort no piece comes, not even one that was there', async () => {
  const abort = new AbortController();
  const reason = { why: 'enough' };
  const pieces = remote.iterate('few', [{ onEnd: () => assert.fail('aborted'), signal: abort.signal }]);
  assert.equal((await pieces.next()).value, 1);
  await settle();
  abort.abort(reason);
  await assert.rejects(pieces.next(), (error) => {
    assert.ok(failure('aborted')(error));
    return /** @type {Error} */ (error).cause === reason;
  });
});

test('an abort ends a generator that waits to be asked, while its pieces are under way', async () => {
  const abort = new AbortController();
  const next = remote.iterate('until', [{ signal: abort.signal }]).next();
  // The worker gives AHEAD pieces before it hears of this.
  abort.abort();
  await assert.rejects(next, failure('aborted'));
});

test('other errors keep their class; methods that are not listed are not there', async () => {
  await assert.rejects(remote.call('fail', []), { name: 'TypeError', message: 'as it was' });
  for (const name of ['constructor', 'toString', 'nothing'])
    await assert.rejects(remote.call(name, []), failure('unsupported', 'method', name));
  await assert.rejects(remote.call('counted', [], 7), failure('closed', 'prefix'));
  await assert.rejects(remote.call('counted', [new WeakMap()]), failure('bad-argument', 'counted'));
});

test('objects that stay in the worker: given by results and callbacks, taken in lists, until they are freed', async () => {
  /** @type {any[]} */
  const things = [];
  things.push(await remote.call('things', [{ each: (/** @type {any} */ thing) => things.push(thing) }]));
  assert.deepEqual(
    things.map(({ n }) => n),
    [1, 2],
  );
  assert.equal(await remote.call('sum', [things]), 3);
  assert.equal(await remote.call('square', [], things[1][HANDLE]), 4);
  await assert.rejects(remote.call('sum', [things], things[0][HANDLE]), failure('unsupported', 'method', 'sum'));
  remote.send('free', things[0][HANDLE]);
  await assert.rejects(remote.call('sum', [things]), failure('closed', 'prefix'));
  assert.equal(await remote.call('sum', [[things[1]]]), 2);
});

test('streams go to the worker and come back', async () => {
  const back = await remote.call('stream', [new Blob(['to and fro']).stream()]);
  assert.equal(await new Response(back).text(), 'to and fro');
});

test('calls have a limit; the end of a worker is an error of all of them', async () => {
  const other = open();
  const waiting = Array.from({ length: MAX_CALLS }, () => other.call('wait', []));
  await assert.rejects(other.call('wait', []), failure('bad-argument', 'calls'));
  other.close();
  for (const { status, reason } of /** @type {any[]} */ (await Promise.allSettled(waiting)))
    assert.ok(status === 'rejected' && failure('closed', 'engine')(reason));
  await assert.rejects(other.call('counted', []), failure('closed', 'engine'));
});

/** The worker's side on a channel of this thread. @param {(send: (message: object, between?: unknown[]) => Promise<any>, owner: MessagePort) => Promise<void>} run */
async function withService(run) {
  const { port1: owner, port2 } = new MessageChannel();
  const methods = {
    echo: (/** @type {unknown[]} */ ...args) => args.length,
    slow: () => new Promise((resolve) => setTimeout(resolve, 50)),
  };
  serve(port2, { methods, handle: () => undefined, state: () => 0 });
  const send = (/** @type {object} */ message, /** @type {unknown[]} */ between = []) =>
    new Promise((resolve) => {
      const call = new MessageChannel();
      call.port1.onmessage = ({ data }) => {
        call.port1.close();
        resolve(data.error ? unpackError(data.error) : data.value);
      };
      owner.postMessage({ target: 0, ...message, port: call.port2 }, [call.port2]);
      for (const one of between) call.port1.postMessage(one);
    });
  try {
    await run(send, owner);
  } finally {
    owner.close();
  }
}

test('the worker refuses messages that are none, and goes on', () =>
  withService(async (send, owner) => {
    for (const message of [null, 7, 'text', {}, { method: 'echo' }, { lock: 'x' }]) owner.postMessage(message);
    const mark = (/** @type {object} */ more) => ({ '@halfspace': 'signal', id: 0, aborted: false, ...more });
    for (const [message, code, field] of /** @type {[object, string, string][]} */ ([
      [{ method: 'echo', args: undefined }, 'bad-argument', 'args'],
      [{ method: 'echo', args: 'text' }, 'bad-argument', 'args'],
      [{ method: 'constructor', args: [] }, 'unsupported', 'method'],
      [{ method: ['echo'], args: [] }, 'unsupported', 'method'],
      [{ method: 'echo', args: [], target: 'x' }, 'closed', 'prefix'],
      [{ method: 'echo', args: [mark({ '@halfspace': 'constructor' })] }, 'bad-argument', 'mark'],
      [{ method: 'echo', args: [mark({ '@halfspace': 'handle', id: 9 })] }, 'closed', 'prefix'],
      [{ method: 'echo', args: [mark({ id: 'length' })] }, 'bad-argument', 'signal'],
      [{ method: 'echo', args: [mark({ id: 1e9 })] }, 'bad-argument', 'signal'],
    ]))
      assert.ok(failure(code, field)(await send(message)), JSON.stringify(message));
    // What belongs to no generator, no signal, or is nothing, is as if it had not come.
    assert.equal(
      await send({ method: 'echo', args: [mark({ id: 31, aborted: true })] }, [null, { more: 'x' }, { abort: 7 }, { stop: true }]),
      1,
    );
  }));

test('arguments that are nested too deeply for the stack are refused by name', async () => {
  let deep = /** @type {unknown[]} */ ([]);
  for (let i = 0; i < 100_000; i++) deep = [deep];
  const owner = /** @type {any} */ ({});
  serve(owner, { methods: { echo: () => 1 }, handle: () => undefined, state: () => 0 });
  const { port1, port2 } = new MessageChannel();
  const answer = new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(unpackError(data.error))));
  owner.onmessage({ data: { method: 'echo', target: 0, args: deep, port: port2 } });
  assert.ok(failure('bad-argument', 'args')(await answer));
  port1.close();
});

test('more calls than a worker takes are refused by it, too', () =>
  withService(async (send) => {
    const calls = Array.from({ length: MAX_CALLS + 1 }, () => send({ method: 'slow', args: [] }));
    const answers = await Promise.all(calls);
    assert.equal(answers.filter(failure('bad-argument', 'calls', MAX_CALLS + 1)).length, 1);
  }));

test('a page takes what is no answer for the end of its worker', async () => {
  const answered = async (/** @type {unknown} */ answer) => {
    /** @type {any} */
    let port;
    const fake = new Remote(
      { listen() {}, ref() {}, unref() {}, terminate() {}, post: (/** @type {any} */ message) => (port = message.port) },
      () => ({}),
    );
    const called = fake.call('echo', [() => {}]);
    port.postMessage(answer);
    return called.finally(() => {
      fake.close();
      port.close();
    });
  };
  const lost = failure('worker-lost', 'message');
  for (const answer of [
    null,
    7,
    'text',
    {},
    { call: 3, args: [] },
    { call: 0, args: 7 },
    { error: null },
    { error: {} },
    { error: { code: 7 } },
  ])
    await assert.rejects(answered(answer), lost, JSON.stringify(answer));
  await assert.rejects(answered({ value: { '@halfspace': 'function', id: 0 } }), lost);
  await assert.rejects(answered({ error: { code: 'io', message: 'm', details: { field: 'f' } } }), failure('io', 'f'));
  assert.equal(await answered({ value: 5 }), 5);
});
