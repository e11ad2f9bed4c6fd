/** A worker in workerd: bundled with its WebAssembly modules beside it, and served on a port of its own. */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { bundleWorker } from '../../demo/edge/build.js';
import { runtimeCommand } from './commands.js';

/**
 * @param {string} folder with config.capnp
 * @param {string[]} [options] of `workerd serve`
 * @returns {Promise<{url: string, process: import('node:child_process').ChildProcess, log: () => string, close: () => Promise<void>}>}
 */
export async function startWorkerd(folder, options = []) {
  const [command] = await runtimeCommand('workerd');
  // Events, such as the port that was chosen, come through the third descriptor.
  const child = spawn(command, ['serve', 'config.capnp', '--control-fd=3', ...options], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const output = ['stdout', 'stderr'].map((name) => {
    let text = '';
    child[/** @type {'stdout'} */ (name)]?.on('data', (piece) => (text += piece));
    return () => text;
  });
  const log = () => output.map((text) => text()).join('');
  const exit = new Promise((resolve) => child.once('exit', resolve));
  const port = await new Promise((resolve, reject) => {
    createInterface({ input: /** @type {import('node:stream').Readable} */ (child.stdio[3]) }).on('line', (line) => {
      const event = JSON.parse(line);
      if (event.event === 'listen') resolve(event.port);
    });
    child.once('error', reject);
    void exit.then((code) => reject(new Error(`workerd ended (${code}): ${log()}`)));
  });
  return {
    url: `http://127.0.0.1:${port}/`,
    process: child,
    log,
    async close() {
      child.kill();
      await exit;
    },
  };
}

/**
 * Runs something with a worker of its own that has no bindings, and may fetch from this machine.
 * @template T
 * @param {string} entry
 * @param {(url: string) => Promise<T>} run
 * @returns {Promise<T>}
 */
export async function withWorker(entry, run) {
  const folder = await mkdtemp(join(tmpdir(), 'halfspace-workerd-'));
  try {
    await bundleWorker(entry, folder);
    const modules = (await readdir(folder))
      .filter((name) => name !== 'worker.js')
      .map((name) => `(name = "${name}", wasm = embed "${name}")`);
    await writeFile(
      join(folder, 'config.capnp'),
      `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker), (name = "internet", network = (allow = ["private"]))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [${[`(name = "worker.js", esModule = embed "worker.js")`, ...modules].join(', ')}],
  compatibilityDate = "2026-01-01",
);
`,
    );
    const workerd = await startWorkerd(folder);
    try {
      return await run(workerd.url);
    } finally {
      await workerd.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}
