/** `import module from 'x.wasm'` gives the compiled module, as in workerd and bundles for it: `node --import` this. */
import { register } from 'node:module';

const hooks = `
  export async function load(url, context, next) {
    if (!url.endsWith('.wasm')) return next(url, context);
    const source = "import { readFile } from 'node:fs/promises'; export default await WebAssembly.compile(await readFile(new URL('" + url + "')));";
    return { format: 'module', shortCircuit: true, source };
  }`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
