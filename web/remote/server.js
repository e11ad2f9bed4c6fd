/** The worker's side of calls (wire.js): a dispatcher over the methods it is given. */
import { checkInteger } from '../checks.js';
import { badArgument, HalfspaceError } from '../errors.js';
import { AHEAD, handleMark, MAX_CALLS, MAX_SIGNALS, outgoing, pack, packError, unpack } from './wire.js';

/**
 * @typedef {Record<string, (...args: any[]) => unknown>} Methods
 *
 * @typedef {object} Service
 * @property {Methods} methods those that may be called, and no others
 * @property {(value: unknown) => {methods: Methods, data: object} | undefined} handle of a result that is to stay in the
 *   worker: what may be called on it, and what the other side shall know of it. `free` among its methods ends the handle
 * @property {() => unknown} state goes along with the end of every call
 */

/**
 * @param {MessagePort} owner where calls come from; the first message may be {lock}, the name of a lock to be held as long as
 *   this worker lives, where there are locks; its port is told that the worker runs
 * @param {Service} service
 */
export function serve(owner, service) {
  /** @type {Map<number, {methods: Methods, value: unknown}>} */
  const kept = new Map();
  let handles = 0;
  let open = 0;

  /** @param {unknown} value */
  function keep(value) {
    const handle = service.handle(value);
    if (!handle) return undefined;
    kept.set(++handles, { methods: handle.methods, value });
    return handleMark(handles, handle.data);
  }

  /** @param {number} target @param {string} method */
  function methodOf(target, method) {
    const methods = target === 0 ? service.methods : kept.get(target)?.methods;
    if (!methods) return freed();
    if (typeof method === 'string' && Object.hasOwn(methods, method)) return methods[method];
    throw new HalfspaceError('unsupported', `a worker has no such method`, { field: 'method', value: method });
  }

  /** @param {{target: number, method: string, args: unknown, port: MessagePort}} message */
  async function answer({ target, method, args, port }) {
    const call = new IncomingCall(port, keep);
    open++;
    /** @type {{value: unknown} | {error: unknown}} */
    let end;
    /** @type {Transferable[]} */
    let transfer = [];
    try {
      if (open > MAX_CALLS) throw badArgument('calls', `must be at most ${MAX_CALLS} at once`, open, MAX_CALLS);
      const values = argumentsOf(args, { ...call.marks, handle: ({ id }) => kept.get(id)?.value ?? freed() });
      const result = methodOf(target, method)(...values);
      const value = isGenerator(result) ? await call.pour(result) : await result;
      const mark = keep(value);
      if (mark && call.stopped) await kept.get(mark.id)?.methods.free();
      const out = outgoing();
      end = { value: mark ?? pack(value, out) };
      transfer = value instanceof Float32Array ? [value.buffer] : out.transfer;
    } catch (error) {
      end = { error: packError(error) };
    }
    open--;
    if (method === 'free') kept.delete(target);
    port.postMessage({ ...end, state: service.state() }, transfer);
    port.close();
  }

  owner.onmessage = ({ data }) => {
    // Without a port there is nobody to tell what is wrong.
    if (!(data?.port instanceof MessagePort)) return;
    void (typeof data.lock === 'string' ? hold(data) : answer(data));
  };
}

/** @param {unknown} packed @param {Parameters<typeof unpack>[1]} make @returns {unknown[]} */
function argumentsOf(packed, make) {
  if (!Array.isArray(packed)) throw badArgument('args', 'must be a list', packed, 'list');
  try {
    return packed.map((arg) => unpack(arg, make));
  } catch (cause) {
    if (cause instanceof HalfspaceError || !(cause instanceof RangeError)) throw cause;
    throw badArgument('args', 'are nested too deeply', cause.message, 'the stack');
  }
}

/** @returns {never} */
function freed() {
  throw new HalfspaceError('closed', 'the prefix was freed', { field: 'prefix' });
}

/** @param {any} result @returns {result is AsyncGenerator<unknown, unknown>} */
const isGenerator = (result) => typeof result?.next === 'function' && Symbol.asyncIterator in result;

/** The owner gets the lock when this worker is no more. @param {{lock: string, port: MessagePort}} message */
function hold({ lock, port }) {
  const running = () => {
    port.postMessage('running');
    return new Promise(() => {});
  };
  const { locks } = globalThis.navigator ?? {}; // not there where a page is not secure
  if (locks) void locks.request(lock, running);
  else void running();
}

class IncomingCall {
  /** By the numbers that the other side gave. @type {Map<number, AbortController>} */
  #controllers = new Map();
  #credit = AHEAD;
  #wake = () => {};
  stopped = false;

  /** @param {MessagePort} port @param {(value: unknown) => unknown} keep gives a mark for what stays here */
  constructor(port, keep) {
    this.port = port;
    this.marks = {
      function:
        (/** @type {{id: number}} */ { id }) =>
        (/** @type {unknown[]} */ ...args) =>
          port.postMessage({ call: id, args: args.map((arg) => keep(arg) ?? arg) }),
      signal: (/** @type {{id: number, aborted: boolean}} */ { id, aborted }) => {
        const controller = new AbortController();
        this.#controllers.set(checkInteger('signal', id, 0, MAX_SIGNALS - 1), controller);
        if (aborted) controller.abort();
        return controller.signal;
      },
    };
    port.onmessage = ({ data }) => {
      if (data?.more === 1) this.#credit = Math.min(AHEAD, this.#credit + 1);
      else if (Number.isInteger(data?.abort)) this.#controllers.get(data.abort)?.abort();
      else this.#stop();
      this.#wake();
    };
  }

  #stop() {
    this.stopped = true;
    for (const controller of this.#controllers.values()) controller.abort();
  }

  /** Sends what a generator yields, AHEAD pieces before the other side comes back for more. @param {AsyncGenerator<unknown, unknown>} pieces */
  async pour(pieces) {
    try {
      while (!this.stopped) {
        const { done, value } = await pieces.next();
        if (done) return value;
        this.port.postMessage({ piece: value });
        this.#credit--;
        while (this.#credit <= 0 && !this.stopped) await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
      }
    } finally {
      await pieces.return(undefined);
    }
  }
}
