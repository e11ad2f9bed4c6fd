/** All sections, in the order of the summary. */
import { run as baselines } from './baselines.js';
import { run as bound } from './bound.js';
import { run as cost } from './cost.js';
import { run as crossover } from './crossover.js';
import { run as growth } from './growth.js';
import { run as lemma } from './lemma.js';
import { run as relu } from './relu.js';
import { run as sweep } from './sweep.js';
import { run as tasks } from './tasks.js';

/**
 * @type {{name: string, title: string, run: (section: import('../section.js').Section,
 *   setting: import('../section.js').Setting) => Promise<void>}[]}
 */
export const SECTIONS = [
  { name: 'sweep', title: 'Quality against r, and sparsity by layer', run: sweep },
  { name: 'relu', title: 'ReLU^alpha reporting', run: relu },
  { name: 'lemma', title: 'The sparsity lemma', run: lemma },
  { name: 'bound', title: 'The softmax bound against the true error', run: bound },
  { name: 'cost', title: 'What the index costs', run: cost },
  { name: 'crossover', title: 'Where attention by the index beats dense', run: crossover },
  { name: 'growth', title: 'Growth with n and d', run: growth },
  { name: 'baselines', title: 'Other ways of choosing keys, at equal keys read', run: baselines },
  { name: 'tasks', title: 'Tasks beyond perplexity', run: tasks },
];
