/** The real model that tests run on. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const CLI = fileURLToPath(new URL('../../../web/cli.js', import.meta.url));

/**
 * Path of SmolLM2-135M-Instruct: $HALFSPACE_TEST_MODEL, or what `halfspace pull` fetches and verifies once.
 * @returns {Promise<string>}
 */
export async function modelPath() {
  const given = process.env.HALFSPACE_TEST_MODEL;
  if (given) return given;
  const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'pull', 'smollm2']);
  return stdout.trim();
}
