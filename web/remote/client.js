/** The calling side of a worker (wire.js): values, generators, callbacks, abort signals and errors as if it were here. */
import { checkInteger } from '../checks.js';
import { HalfspaceError } from '../errors.js';
import { inNode } from '../runtime.js';
import { MAX_CALLS, outgoing, pack, unpack, unpackError } from './wire.js';

/**
 * @typedef {object} Message of a call's port
 * @property {unknown} [piece]
 * @property {unknown} [value]
 * @property {any} [error]
 * @property {number} [call]
 * @property {unknown[]} [args]
 * @property {unknown} [state]
 */

/** Until a worker that has not begun to run counts as lost, in a page. */
const START_SECONDS = 60;

/** @internal */
export class Remote {
  /** @type {Set<OutgoingCall>} */
  #calls = new Set();
  /** @type {HalfspaceError | undefined} */
  #end;
  #watching = new AbortController();
  #worker;
  #take;
  /** What the worker said of itself at the end of the last call. @type {any} */
  state;

  /**
   * @param {import('../worker-handle.js').WorkerHandle} worker
   * @param {(id: number, data: any) => unknown} take makes what stands here for an object that stays in the worker
   */
  constructor(worker, take) {
    this.#worker = worker;
    this.#take = take;
    worker.listen('error', (error) => this.#lose(error?.message ?? 'its script failed to load'));
    worker.listen('exit', () => this.#lose('it ended'));
    worker.unref();
    if (!inNode) this.#watch();
  }

  /** Pages are not told when a worker dies. What it had locked becomes free, though; if it died before that, it never answers. */
  #watch() {
    const { locks } = navigator; // not there where a page is not secure
    const lock = `halfspace ${crypto.getRandomValues(new Uint32Array(4)).join()}`;
    const { signal } = this.#watching;
    const { port1, port2 } = new MessageChannel();
    let seconds = 0;
    // Counted, not measured: seconds in which this page is frozen are none of the worker's.
    const start = setInterval(() => {
      if (++seconds === START_SECONDS) this.#lose(`it did not begin to run for ${START_SECONDS} s`);
    }, 1000);
    const started = () => {
      clearInterval(start);
      port1.close();
    };
    signal.addEventListener('abort', started);
    port1.onmessage = () => {
      started();
      locks?.request(lock, { signal }, () => this.#lose('it ended')).catch(() => {}); // closed
    };
    this.#worker.post({ lock, port: port2 }, [port2]);
  }

  /**
   * @param {string} method
   * @param {unknown[]} args
   * @param {number} [target] handle; default the engine
   * @returns {Promise<any>}
   */
  async call(method, args, target = 0) {
    const call = this.#start(method, args, target);
    try {
      return (await call.take()).value;
    } finally {
      await call.finish();
    }
  }

  /**
   * @param {string} method that gives a generator
   * @param {unknown[]} args
   * @param {number} [target] handle; default the engine
   * @returns {AsyncGenerator<any, void>}
   */
  async *iterate(method, args, target = 0) {
    const call = this.#start(method, args, target);
    try {
      for (;;) {
        const message = await call.take();
        if (!('piece' in message)) return;
        yield message.piece;
        call.port.postMessage({ more: 1 });
      }
    } finally {
      await call.finish();
    }
  }

  /** Nobody waits for the answer, and a worker that is gone does not matter. @param {string} method @param {number} target */
  send(method, target) {
    if (!this.#end) void this.call(method, [], target).catch(() => {});
  }

  /** Ends the worker, and with it every call. */
  close() {
    this.#finish(new HalfspaceError('closed', 'the engine is closed', { field: 'engine' }));
  }

  /** @param {string} why */
  #lose(why) {
    this.#finish(new HalfspaceError('worker-lost', `the worker was lost: ${why}`, { field: 'worker' }));
  }

  /** @param {HalfspaceError} error of every call from now on */
  #finish(error) {
    if (this.#end) return;
    this.#end = error;
    this.#watching.abort();
    this.#worker.terminate();
    for (const call of this.#calls) call.put({ error });
  }

  /** @param {string} method @param {unknown[]} args @param {number} target */
  #start(method, args, target) {
    if (this.#end) throw this.#end;
    if (this.#calls.size === MAX_CALLS)
      throw new HalfspaceError('bad-argument', `more than ${MAX_CALLS} calls at once`, { field: 'calls', limit: MAX_CALLS });
    const out = outgoing();
    const packed = args.map((arg) => pack(arg, out));
    const { port1, port2 } = new MessageChannel();
    try {
      this.#worker.post({ method, target, args: packed, port: port2 }, [port2, ...out.transfer]);
    } catch (cause) {
      port1.close();
      throw new HalfspaceError(
        'bad-argument',
        `an argument of ${method} cannot be sent to a worker: ${/** @type {Error} */ (cause).message}`,
        {
          field: method,
          cause,
        },
      );
    }
    const call = new OutgoingCall(port1, out, (message) => this.#received(message, out));
    // While a call is open the process waits for the worker: for its end, too, which would go unseen otherwise.
    if (this.#calls.size === 0) this.#worker.ref();
    this.#calls.add(call);
    void call.ended.then(() => {
      this.#calls.delete(call);
      if (this.#calls.size === 0) this.#worker.unref();
    });
    return call;
  }

  /** @param {unknown} message as it came @param {import('./wire.js').Outgoing} out @returns {Message} */
  #received(message, out) {
    try {
      return this.#read(/** @type {any} */ (message), out);
    } catch (cause) {
      const { message: why } = /** @type {Error} */ (cause);
      return { error: new HalfspaceError('worker-lost', `the worker sent what is no message: ${why}`, { field: 'message', cause }) };
    }
  }

  /** @param {Message} message @param {import('./wire.js').Outgoing} out @returns {Message} */
  #read(message, out) {
    if ('state' in message) this.state = message.state;
    if ('error' in message) return { error: unpackError(message.error) };
    const make = { handle: (/** @type {{id: number, data: unknown}} */ { id, data }) => this.#take(id, data) };
    if ('value' in message) return { value: unpack(message.value, make) };
    if ('piece' in message) return { piece: message.piece };
    const { call, args } = message;
    checkInteger('call', call, 0, out.functions.length - 1);
    return { call, args: /** @type {unknown[]} */ (args).map((arg) => unpack(arg, make)) };
  }
}

/** @internal */
class OutgoingCall {
  /** @type {Message[]} pieces, at most AHEAD, calls between them, and the end */
  #inbox = [];
  #wake = () => {};
  #over = () => {};
  #isOver = false;
  /** @type {AbortSignal | undefined} */
  #abortedBy;
  #gaveUp = false;
  #out;
  #unlisten;

  /** @param {MessagePort} port @param {import('./wire.js').Outgoing} out @param {(message: unknown) => Message} received */
  constructor(port, out, received) {
    this.port = port;
    this.#out = out;
    this.ended = new Promise((resolve) => (this.#over = () => resolve(undefined)));
    port.onmessage = ({ data }) => this.put(received(data));
    this.#unlisten = out.signals.map((signal, id) => {
      const abort = () => this.#abort(signal, id);
      signal.addEventListener('abort', abort);
      return () => signal.removeEventListener('abort', abort);
    });
  }

  /** What nobody asked for yet is given up. @param {AbortSignal} signal @param {number} id */
  #abort(signal, id) {
    this.#abortedBy = signal;
    if (!this.#isOver) this.port.postMessage({ abort: id });
    for (const message of this.#inbox.splice(0)) this.put(message, true);
  }

  /** @param {Message} message @param {boolean} [again] it was in the inbox already */
  put(message, again = false) {
    const isEnd = 'value' in message || 'error' in message;
    if (this.#isOver && !again) return;
    if (this.#abortedBy && !isEnd) {
      if ('piece' in message) this.#giveUp();
      return;
    }
    this.#inbox.push(message);
    this.#wake();
    if (isEnd && !again) {
      this.#isOver = true;
      this.port.close();
      this.#over();
    }
  }

  /** Of a piece that nobody will take. The other side may be waiting for that, and is to come to its end. */
  #giveUp() {
    this.#gaveUp = true;
    if (!this.#isOver) this.port.postMessage({ more: 1 });
  }

  /** The next piece, or the end; runs callbacks on the way. @returns {Promise<Message>} */
  async take() {
    for (;;) {
      while (this.#inbox.length === 0) await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
      const message = /** @type {Message} */ (this.#inbox.shift());
      if ('call' in message) {
        this.#out.functions[Number(message.call)](...(message.args ?? []));
        continue;
      }
      if ('error' in message) throw message.error?.code === 'aborted' ? this.#aborted(message.error) : message.error;
      if (this.#gaveUp) throw this.#aborted();
      return message;
    }
  }

  /** With the reason that the caller gave, which is not sent back and forth. @param {HalfspaceError} [error] as it came */
  #aborted(error) {
    const signal = this.#out.signals.find(({ aborted }) => aborted);
    return signal || !error ? new HalfspaceError('aborted', 'aborted by the caller', { cause: signal?.reason }) : error;
  }

  /** Stops what is not at its end, and waits for that. What the caller did not take is freed. */
  async finish() {
    if (!this.#isOver) this.port.postMessage({ stop: true });
    await this.ended;
    for (const unlisten of this.#unlisten) unlisten();
    for (const { value } of this.#inbox.splice(0)) /** @type {any} */ (value)?.free?.();
  }
}
