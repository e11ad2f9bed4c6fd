/** Puts NEW into a store, and hangs at a step of it, to be killed there: `store-child.js FOLDER STEP`. */
import { openFileStore } from '../../../web/node.js';
import { FaultPlan } from '../../suites/faults.js';
import { inPieces } from '../../suites/store.js';
import { faultyFs } from './faulty-fs.js';
import { NEW } from './store-contents.js';

class HangPlan extends FaultPlan {
  /** @template T @param {() => T} run @param {() => unknown} [half] @returns {any} */
  step(run, half) {
    if (++this.steps !== this.at) return run();
    return (async () => {
      await half?.();
      process.stdout.write('here\n');
      setInterval(() => {}, 1000);
      await new Promise(() => {});
    })();
  }
}

const [folder, step] = process.argv.slice(2);
const store = await openFileStore(folder, { fs: faultyFs(new HangPlan(Number(step))) });
await store.put('a', inPieces(NEW));
process.stdout.write('done\n');
