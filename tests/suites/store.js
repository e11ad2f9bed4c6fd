/** What every store does. Runs in any runtime: the caller brings the stores, and a way to tell of failures. */
import { seededRandom } from '../node/helpers/random.js';

const random = seededRandom(11);
/** @param {number} length */
export const randomBytes = (length) => Uint8Array.from({ length }, () => 256 * random());
const OLD = randomBytes(70_000);
const NEW = randomBytes(90_001);
const PIECE = 10_000;

/**
 * @typedef {object} Kind
 * @property {(options?: {maxBytes?: number}) => Promise<import('../../web/stores/store.js').Store>} fresh an empty store
 * @property {((options?: {maxBytes?: number}) => Promise<import('../../web/stores/store.js').Store>) | undefined} again opens the last
 *   fresh store once more; where entries outlive the process
 * @property {() => Promise<number>} [files] how many files of content the last fresh store really has
 */

/** @param {unknown} condition @param {string} message */
export function check(condition, message) {
  if (!condition) throw new Error(`check failed: ${message}`);
}

/** @param {unknown} actual @param {unknown} expected @param {string} [message] */
export function same(actual, expected, message = '') {
  const [a, e] = [actual, expected].map((value) => JSON.stringify(value));
  check(a === e, `${message} ${a} is not ${e}`);
}

/**
 * @param {Promise<unknown>} promise
 * @param {string} code
 * @param {string} [field]
 * @returns {Promise<any>} the error
 */
export async function rejects(promise, code, field) {
  const error = await promise.then(
    (value) => check(false, `${JSON.stringify(value)} instead of an error '${code}'`),
    (e) => e,
  );
  check(
    error.code === code && (field === undefined || error.field === field),
    `'${code}' ${field}: ${error.code} ${error.field} ${error.stack}`,
  );
  return error;
}

/** @param {Uint8Array} a @param {Uint8Array} b */
export const equalBytes = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** @param {import('../../web/stores/store.js').Store} store @param {string} name */
export async function contentOf(store, name) {
  const source = await store.open(name);
  try {
    return await source.read(0, source.size);
  } finally {
    await source.close();
  }
}

/** @param {import('../../web/stores/store.js').Store} store @param {string} name @param {Uint8Array} expected */
async function hasContent(store, name, expected) {
  check(equalBytes(await contentOf(store, name), expected), `${name} has what was put`);
}

/** @param {Uint8Array} bytes @param {(index: number) => unknown} [before] each piece */
export async function* inPieces(bytes, before = () => {}) {
  for (let at = 0; at < bytes.length; at += PIECE) {
    await before(at / PIECE);
    yield bytes.subarray(at, at + PIECE);
  }
}

/** @param {Uint8Array} bytes */
async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', /** @type {BufferSource} */ (bytes)));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param {Uint8Array} bytes */
const streamOf = (bytes) => new Blob([/** @type {BlobPart} */ (bytes)]).stream();

/** @type {Record<string, (kind: Kind) => Promise<void>>} */
export const storeSuite = {
  async 'puts, opens, streams, lists, deletes'({ fresh }) {
    const store = await fresh();
    same(await store.list(), []);
    same(await store.bytes(), 0);
    const began = Date.now() - 5;
    same(await store.put('b.bin', inPieces(OLD)), { name: 'b.bin', bytes: OLD.length, sha256: await sha256(OLD) });
    await store.put('a', NEW);
    await hasContent(store, 'b.bin', OLD);
    const source = await store.open('a');
    check(source.name === 'a' && source.size === NEW.length, 'name and size');
    check(equalBytes(await source.read(9_990, 70_000), NEW.subarray(9_990, 79_990)), 'a range over pieces');
    same((await source.read(5, 0)).length, 0);
    await rejects(source.read(NEW.length, 1), 'bad-file', 'size');
    await source.close();
    check(equalBytes(new Uint8Array(await new Response(store.stream('b.bin')).arrayBuffer()), OLD), 'a stream');
    const list = await store.list();
    same(
      list.map(({ name, bytes }) => [name, bytes]),
      [
        ['a', NEW.length],
        ['b.bin', OLD.length],
      ],
    );
    check(
      list.every(({ modified }) => modified >= began && modified <= Date.now() + 50),
      'times',
    );
    same(await store.bytes(), OLD.length + NEW.length);
    same([await store.delete('a'), await store.delete('a')], [true, false]);
    await rejects(store.open('a'), 'not-found', 'name');
    await rejects(store.stream('a').getReader().read(), 'not-found', 'name');
    same(await store.bytes(), OLD.length);
  },

  async 'takes streams, iterables, bytes, shared memory, and nothing at all'({ fresh }) {
    const store = await fresh();
    await store.put('stream', streamOf(OLD));
    await store.put('iterable', [OLD.subarray(0, 7), new Uint8Array(), OLD.subarray(7)]);
    for (const name of ['stream', 'iterable']) await hasContent(store, name, OLD);
    same((await store.put('empty', [])).bytes, 0);
    same((await contentOf(store, 'empty')).length, 0);
    same((await new Response(store.stream('empty')).arrayBuffer()).byteLength, 0);
    if (typeof SharedArrayBuffer === 'function') {
      const shared = new Uint8Array(new SharedArrayBuffer(OLD.length));
      shared.set(OLD);
      await store.put('shared', shared);
      await hasContent(store, 'shared', OLD);
    }
    for (const wrong of [undefined, null, 5, {}]) await rejects(store.put('wrong', /** @type {any} */ (wrong)), 'bad-argument', 'source');
    await rejects(store.put('stream', /** @type {any} */ ([NEW, 'text'])), 'bad-argument', 'source');
    await rejects(store.put('stream', /** @type {any} */ ('text')), 'bad-argument', 'source');
    await hasContent(store, 'stream', OLD);
    same(
      (await store.list()).map(({ name }) => name).filter((name) => name !== 'shared'),
      ['empty', 'iterable', 'stream'],
    );
  },

  async 'a piece may be used again once the next is asked for'({ fresh }) {
    const store = await fresh();
    async function* reused() {
      const buffer = new Uint8Array(PIECE);
      for (let at = 0; at < 70_000; at += PIECE) {
        buffer.set(OLD.subarray(at, at + PIECE));
        yield buffer;
      }
      buffer.fill(0);
    }
    await store.put('a', reused());
    await hasContent(store, 'a', OLD);
    const reader = store.stream('a').getReader();
    const { value } = await reader.read();
    await reader.cancel();
    value?.fill(0);
    await hasContent(store, 'a', OLD);
  },

  async 'a reader keeps what it opened'({ fresh, files }) {
    const store = await fresh();
    await store.put('a', OLD);
    const [replaced, other] = [await store.open('a'), await store.open('a')];
    await store.put('a', NEW);
    const deleted = await store.open('a');
    await store.delete('a');
    await store.put('b', OLD);
    await store.evict(0);
    check(equalBytes(await replaced.read(0, replaced.size), OLD), 'replaced');
    check(equalBytes(await deleted.read(0, deleted.size), NEW), 'deleted');
    same(await store.list(), []);
    await replaced.close();
    check(equalBytes(await other.read(0, other.size), OLD), 'another reader of the same');
    for (const source of [other, deleted]) await source.close();
    if (files) same(await files(), 0, 'files that are left');
  },

  async 'names that could leave the folder, or be two files in one file system or one in two'({ fresh }) {
    const store = await fresh();
    const wrong = [
      '',
      '.',
      '..',
      '../a',
      'a/b',
      'a\\b',
      '/a',
      'a\0',
      'A',
      'ä',
      '.a',
      'a.',
      'a~1~0',
      'con',
      'nul.bin',
      'lpt1',
      'x'.repeat(101),
    ];
    for (const name of [...wrong, undefined, 5, {}, ['a']]) {
      const name_ = /** @type {any} */ (name);
      for (const call of [store.put(name_, OLD), store.open(name_), store.delete(name_)]) await rejects(call, 'bad-argument', 'name');
      check(
        (() => {
          try {
            store.stream(name_);
            return false;
          } catch (error) {
            return /** @type {any} */ (error).field === 'name';
          }
        })(),
        `a stream of ${name}`,
      );
    }
    for (const name of ['x'.repeat(100), 'console', 'a..b', '0', 'a_-.9']) {
      await store.put(name, OLD.subarray(0, 9));
      await hasContent(store, name, OLD.subarray(0, 9));
    }
  },

  async 'an expected SHA-256 that is not met'({ fresh, files }) {
    const store = await fresh();
    await store.put('a', OLD, { sha256: await sha256(OLD) });
    const error = await rejects(store.put('a', NEW, { sha256: await sha256(OLD) }), 'checksum', 'sha256');
    same([error.value, error.limit], [await sha256(NEW), await sha256(OLD)]);
    await rejects(store.put('a', NEW, { sha256: 'abc' }), 'bad-argument', 'sha256');
    await hasContent(store, 'a', OLD);
    if (files) same(await files(), 1, 'files');
  },

  async 'aborts at every piece leave the old content'({ fresh, files }) {
    const store = await fresh();
    await store.put('a', OLD);
    const pieces = Math.ceil(NEW.length / PIECE);
    for (let at = 0; at <= pieces; at++) {
      const controller = new AbortController();
      let ended = false;
      async function* source() {
        try {
          yield* inPieces(NEW, (index) => index === at && controller.abort());
        } finally {
          ended = true;
        }
      }
      const onProgress = (/** @type {number} */ bytes) => at === pieces && bytes === NEW.length && controller.abort();
      await rejects(store.put('a', source(), { signal: controller.signal, onProgress }), 'aborted');
      check(ended, 'the source was told');
    }
    await rejects(store.put('a', NEW, { signal: AbortSignal.abort() }), 'aborted');
    await hasContent(store, 'a', OLD);
    if (files) same(await files(), 1, 'files');
    await store.put('a', NEW);
    await hasContent(store, 'a', NEW);
  },

  async 'an abort ends the wait for a source that hangs'({ fresh }) {
    const store = await fresh();
    let cancelled = 0;
    const hanging = () =>
      new ReadableStream({ start: (controller) => controller.enqueue(OLD), cancel: () => void cancelled++ }, { highWaterMark: 0 });
    const controller = new AbortController();
    const onProgress = () => setTimeout(() => controller.abort(), 1);
    await rejects(store.put('a', hanging(), { signal: controller.signal, onProgress }), 'aborted');
    same(cancelled, 1);
    same(await store.list(), []);
  },

  async 'a source that fails'({ fresh, files }) {
    const store = await fresh();
    await store.put('a', OLD);
    const failure = new Error('the network is gone');
    const source = inPieces(NEW, (index) => {
      if (index === 5) throw failure;
    });
    const error = await store.put('a', source).catch((e) => e);
    check(error === failure, "the source's own error");
    await hasContent(store, 'a', OLD);
    if (files) same(await files(), 1, 'files');
  },

  async 'concurrent puts of a name: the last to finish stays'({ fresh, files }) {
    const store = await fresh();
    /** @type {(() => void)[]} */
    const go = [];
    const contents = [OLD, NEW, OLD.toReversed()];
    const gates = contents.map((_, i) => new Promise((resolve) => (go[i] = () => resolve(undefined))));
    const puts = contents.map((content, i) =>
      store.put(
        'a',
        inPieces(content, (index) => index === 5 && gates[i]),
      ),
    );
    for (const last of [2, 0, 1]) {
      go[last]();
      await puts[last];
      await hasContent(store, 'a', contents[last]);
    }
    await Promise.all(Array.from({ length: 6 }, (_, i) => store.put('a', inPieces(contents[i % 3]))));
    const content = await contentOf(store, 'a');
    check(
      contents.some((one) => equalBytes(one, content)),
      'one of them, whole',
    );
    if (files) same(await files(), 1, 'files');
  },

  async progress({ fresh }) {
    const store = await fresh();
    /** @type {number[]} */
    const steps = [];
    await store.put('a', inPieces(OLD), { onProgress: (bytes) => steps.push(bytes) });
    same(
      steps,
      [1, 2, 3, 4, 5, 6, 7].map((n) => n * PIECE),
    );
  },

  async 'evicts what was not used for longest'({ fresh, files }) {
    const store = await fresh({ maxBytes: 400 });
    const put = (/** @type {string} */ name, bytes = 100) => store.put(name, OLD.subarray(0, bytes));
    const names = async () => (await store.list()).map(({ name }) => name).join(' ');
    for (const name of ['a', 'b', 'c', 'd']) await put(name);
    await (await store.open('a')).close();
    await put('e');
    same(await names(), 'a c d e');
    await put('d', 200);
    same(await names(), 'a d e', 'the old content of a name makes room for the new');
    await put('f', 150);
    same(await names(), 'd f');
    same(await store.evict(150), ['d']);
    same(await store.evict(150), []);
    same(await names(), 'f');
    await put('g', 400);
    same(await names(), 'g');
    if (files) same(await files(), 1, 'files');
    for (const wrong of [-1, NaN, undefined]) await rejects(store.evict(/** @type {any} */ (wrong)), 'bad-argument', 'bytes');
  },

  async 'one entry larger than maxBytes, and puts in progress that are together'({ fresh, files }) {
    const store = await fresh({ maxBytes: 80_000 });
    await store.put('a', OLD);
    let asked = 0;
    const error = await rejects(
      store.put(
        'b',
        inPieces(NEW, () => asked++),
      ),
      'quota',
      'maxBytes',
    );
    same([error.value, error.limit, asked], [90_000, 80_000, 9]);
    await hasContent(store, 'a', OLD);
    /** @type {() => void} */
    let go = () => {};
    const gate = new Promise((resolve) => (go = () => resolve(undefined)));
    /** @type {Promise<unknown>} */
    let first = Promise.resolve();
    await new Promise((resolve) => {
      const waiting = inPieces(OLD.subarray(0, 50_000), (index) => index === 4 && (resolve(undefined), gate));
      first = store.put('c', waiting);
    });
    const together = await rejects(store.put('d', inPieces(OLD)), 'quota', 'maxBytes');
    same(together.limit, 80_000);
    go();
    await first;
    await store.put('d', inPieces(OLD.subarray(0, 30_000)));
    same(
      (await store.list()).map(({ name }) => name),
      ['c', 'd'],
    );
    if (files) same(await files(), 2, 'files');
    await rejects(fresh({ maxBytes: -1 }), 'bad-argument', 'maxBytes');
  },

  async 'entries outlive the store that put them'({ fresh, again }) {
    if (!again) return;
    const store = await fresh();
    for (const name of ['a', 'b', 'c']) await store.put(name, OLD);
    await (await store.open('a')).close();
    await store.put('d', NEW);
    const list = await store.list();
    const reopened = await again({ maxBytes: 2 * OLD.length + NEW.length });
    same(await reopened.list(), list);
    same(await reopened.evict(2 * OLD.length + NEW.length), ['b'], 'the order of use');
    for (const name of ['a', 'c']) await hasContent(reopened, name, OLD);
    await hasContent(reopened, 'd', NEW);
  },
};
