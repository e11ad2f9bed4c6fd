/**
 * A program: the second of an engine's two threads dies in a job and says nothing, as one that was killed. Writes what the calls
 * after that threw, as "code field value", one a line. Argument: whether the owner may block, 0 or 1.
 */
import { Context } from '../../../web/generation/context.js';
import { HalfspaceError } from '../../../web/errors.js';
import { Engine } from '../../../web/index.js';
import { randomModel } from './random-model.js';
import { withWorkers } from './workers.js';

const PATIENCE_SECONDS = 2;
const STEPS = 1000;
/** Without room on its stack it traps in the first task that needs some. */
const SCRIPT = `const { parentPort } = require('node:worker_threads');
  parentPort.once('message', ({ module, memory, thread }) => {
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    exports.stackRestore(16);
    parentPort.postMessage('ready');
    try { while (exports.hs_thread_run(thread) === 1); } catch {}
  })`;

/** @param {unknown} error */
function report(error) {
  if (!(error instanceof HalfspaceError)) throw error;
  console.log([error.code, error.field, error.value].join(' '));
}

const engine = await withWorkers(
  (Worker) =>
    class extends Worker {
      constructor() {
        super(SCRIPT, { eval: true });
      }
    },
  () => Engine.load(randomModel({ arch: 'llama', type: 'Q4_K' }), { threads: 2 }),
);
engine.wasm.exports.hs_threads_start(2, Number(process.argv[2]), PATIENCE_SECONDS);
const context = new Context(engine.wasm, engine.model, engine.config, { capacity: STEPS, kv: 'q8' });
try {
  for (let i = 0; i < STEPS; i++) context.decode(5);
} catch (error) {
  report(error);
}
await engine.prefill([3, 4, 5]).catch(report);
engine.close();
