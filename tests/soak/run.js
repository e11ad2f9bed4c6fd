/** node --expose-gc tests/soak/run.js MINUTES SEED [MODEL.gguf]: soaks, with a line per minute; the model is a small random one by default. */
import { randomModel } from '../node/helpers/random-model.js';
import { soak } from './soak.js';

const [minutes, seed, model] = process.argv.slice(2);
console.log(`soak of ${minutes} minutes, seed ${seed}`);
const { slopes, bounds, ...figures } = await soak({
  ms: Number(minutes) * 60_000,
  seed: Number(seed),
  model: model || new Uint8Array(randomModel({ arch: 'llama', type: 'Q4_K' })),
  log: console.log,
});
console.log(JSON.stringify(figures));
for (const [key, bound] of Object.entries(bounds))
  console.log(`${key}: ${slopes[/** @type {keyof typeof slopes} */ (key)].toFixed(1)} bytes a minute (bound ${bound})`);
