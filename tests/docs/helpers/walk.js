/**
 * Follows a tutorial: files are written as the text gives them, commands run in order, and what they print is compared with what it shows.
 * Three things are not as in the text: `npm install` takes the package from its archive and tools from this checkout; other words, such as ports,
 * are replaced as the test says.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { blocksOf, readMarkdown } from './markdown.js';
import { ROOT } from './reference.js';

/** Where numbers and quoted words may be others than those shown. @param {string} shown */
export const likeThis = (shown) =>
  new RegExp(
    `^${shown
      .replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
      .replaceAll(/"[^"]*" ?$/gm, '"[^]*"')
      .replaceAll(/(looked at )"[^"]*"/g, '$1".*"')
      .replaceAll(/-?\d+(?:\\\.\d+)?(?:e[-+]?\d+)?/g, '-?[\\d.]+(?:e[-+]?\\d+)?')}$`,
  );

/** A port that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export class Walk {
  /** @type {import('node:child_process').ChildProcess[]} */
  #servers = [];
  /** What the last commands printed. */
  #printed = '';

  /**
   * @param {string} folder
   * @param {{replace?: [string | RegExp, string][], tools?: Record<string, string>}} options replace: in files and commands; tools: packages that
   *   are not installed but linked: their folders, or the programs that they bring
   */
  constructor(folder, { replace = [], tools = {} }) {
    this.top = folder;
    this.folder = folder;
    this.replace = replace;
    this.tools = tools;
  }

  /** @param {ConstructorParameters<typeof Walk>[1]} [options] */
  static async begin(options = {}) {
    return new Walk(await mkdtemp(join(tmpdir(), 'halfspace-tutorial-')), options);
  }

  /** Ends the servers that the tutorial started. */
  async stop() {
    for (const server of this.#servers) {
      if (server.exitCode === null && server.signalCode === null) {
        process.kill(-Number(server.pid));
        await once(server, 'exit');
      }
    }
  }

  async end() {
    await this.stop();
    await rm(this.top, { recursive: true });
  }

  /**
   * From the first block of code to the last.
   * @param {string} name of the tutorial
   * @param {(block: import('./markdown.js').Block, printed: string) => Promise<void> | void} [after] called after each
   */
  async follow(name, after) {
    const blocks = blocksOf(await readMarkdown(join(ROOT, 'docs/tutorials', name)));
    assert.ok(blocks.length > 3, name);
    for (const block of blocks) {
      if (block.title) await this.#write(block.title, block.text);
      else if (block.lang === 'sh') this.#printed = block.server ? await this.#serve(block.text) : await this.#run(block.text);
      else if (block.lang === 'text') assert.match(this.#printed.trim(), likeThis(block.text.trim()));
      else assert.fail(`${name}: nothing is done with a block of "${block.lang}"`);
      await after?.(block, this.#printed);
    }
  }

  /** @param {string} text */
  #here(text) {
    return this.replace.reduce((result, [from, to]) => result.replaceAll(from, to), text);
  }

  /** A block with the title of an earlier one goes on where that ended. @param {string} title @param {string} text */
  async #write(title, text) {
    const path = join(this.folder, title);
    await mkdir(dirname(path), { recursive: true });
    await appendFile(path, `${this.#here(text)}\n`);
  }

  /** @param {string} text @returns {Promise<string>} what it printed */
  async #run(text) {
    let printed = '';
    for (const line of text.split('\n')) printed += await this.#line(line);
    return printed;
  }

  /** @param {string} line */
  async #line(line) {
    const installs = /^npm install (?:--save-dev )?(.*)$/.exec(line)?.[1].split(' ');
    if (installs) return this.#install(installs);
    const where = join(this.top, '.pwd');
    const child = this.#spawn(`${this.#here(line)}\npwd >"${where}"`);
    let [out, errors] = ['', ''];
    child.stdout?.on('data', (piece) => (out += piece));
    child.stderr?.on('data', (piece) => (errors += piece));
    const [code] = await once(child, 'close');
    assert.equal(code, 0, `${line}\n${out}${errors}`);
    this.folder = (await readFile(where, 'utf8')).trim();
    return out;
  }

  /** @param {string} script */
  #spawn(script) {
    return spawn('sh', ['-ec', script], { cwd: this.folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** @param {string[]} packages */
  async #install(packages) {
    const rest = packages.filter((one) => !(one in this.tools));
    let printed = '';
    if (rest.length > 0) {
      assert.deepEqual(rest, ['halfspace']);
      await this.#line(`npm pack --ignore-scripts --silent --pack-destination ${this.top} ${ROOT}`);
      const [archive] = (await readdir(this.top)).filter((file) => file.endsWith('.tgz'));
      printed = await this.#line(`npm add --ignore-scripts --prefer-offline --no-audit --no-fund ${join(this.top, archive)}`);
    }
    // Afterwards: npm removes what it has not put there.
    for (const name of packages.filter((one) => one in this.tools)) {
      const link = join(this.folder, 'node_modules', (await stat(this.tools[name])).isDirectory() ? name : `.bin/${name}`);
      await mkdir(dirname(link), { recursive: true });
      await symlink(this.tools[name], link);
    }
    return printed;
  }

  /** Runs what stands before the last line, and that until the end of the walk. @param {string} text */
  async #serve(text) {
    const server = this.#spawn(`exec ${this.#here(text)}`);
    this.#servers.push(server);
    let printed = '';
    for (const stream of [server.stdout, server.stderr]) stream?.on('data', (piece) => (printed += piece));
    const [, port] = this.replace.find(([, to]) => /^\d+$/.test(to)) ?? [];
    for (;;) {
      assert.equal(server.exitCode, null, `${text}\n${printed}`);
      const answers = await fetch(`http://127.0.0.1:${port}/`).then(
        () => true,
        () => false,
      );
      if (answers) return printed;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
