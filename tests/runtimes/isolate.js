/** Runs the suite in workerd: POST a setting as JSON; answers with the results. */
import relaxed from '../../build/halfspace.relaxed.wasm';
import simd from '../../build/halfspace.simd.wasm';
import * as halfspace from '../../web/edge.js';
import { runSuites } from '../suites/index.js';

export default {
  /** @param {Request} request */
  async fetch(request) {
    const { url, allowed } = /** @type {{url: string, allowed: string[]}} */ (await request.json());
    return Response.json(
      await runSuites({
        halfspace,
        build: halfspace.edgeMemory(simd),
        relaxed: { ...halfspace.edgeMemory({ relaxed }), variant: 'relaxed' },
        model: new Uint8Array(await (await fetch(url)).arrayBuffer()),
        url,
        allowed,
      }),
    );
  },
};
