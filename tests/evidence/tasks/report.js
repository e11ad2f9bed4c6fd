/** What the answers say: tables, a chart, and what speaks against us. */
import { lineChart } from '../../../web/cli/bench/chart.js';
import { mean, percent, round, significant } from '../../../web/cli/numbers.js';
import { chanceOf } from './chance.js';
import { NEEDLE, TASKS } from './index.js';

/**
 * @typedef {import('./score.js').Answer} Answer
 *
 * @typedef {object} Result one question, answered one way
 * @property {string} where name of the context
 * @property {number} length its tokens
 * @property {string} task
 * @property {number} depth
 * @property {string} way
 * @property {Answer} answer
 * @property {Answer} dense the same question, by dense attention
 */

export const DENSE = 'dense';
export const NO_DOCUMENT = 'no document';
/** From here on less than chance. */
const RARE = 0.01;
const DEPTHS = 5;
const ALL = 'all tasks';

/** @param {Result[]} results @param {(answer: Answer) => number} value @returns {number} */
const meanOf = (results, value) => mean(results.map(({ answer }) => value(answer)));
const rightOf = (/** @type {Answer} */ { right }) => (right ? 1 : 0);
const unique = (/** @type {string[]} */ names) => [...new Set(names)];

/**
 * @param {import('../section.js').Section} section
 * @param {Result[]} results
 * @param {import('../sections/tasks.js').Sizes} sizes
 */
export function describe(section, results, sizes) {
  const ways = unique(results.map(({ way }) => way)).filter((way) => way !== DENSE && way !== NO_DOCUMENT);
  const contexts = unique(results.map(({ where }) => where));
  introduce(section, sizes);
  denseTable(section, results, contexts);
  const table = (/** @type {string} */ title, /** @type {(of: Result[]) => string | number} */ cell) =>
    section.table(
      title,
      ['context', 'task', ...ways],
      contexts.flatMap((where) =>
        TASKS.map((task) => [where, task, ...ways.map((way) => cellOf(select(results, { where, task, way }), cell))]),
      ),
    );
  table('Right answers minus those of dense, in % of the questions', (of) =>
    percent(mean(of.map(({ answer, dense }) => rightOf(answer) - rightOf(dense))), 0),
  );
  table('The same answer as dense, right or wrong, in %', (of) =>
    percent(
      meanOf(of, ({ same }) => (same ? 1 : 0)),
      0,
    ),
  );
  table("KL of dense against it, in nats, mean over the right answer's tokens", (of) =>
    significant(
      meanOf(of, ({ kl }) => kl),
      2,
    ),
  );
  section.table(
    'Keys that were read exactly, in % of those there are; fast counts a key once for the query heads that share it, exact and certified count it for each',
    ['context', ...ways],
    contexts.map((where) => [where, ...ways.map((way) => cellOf(select(results, { where, way }), (of) => percent(exactShare(of))))]),
  );
  depthTable(section, results, [DENSE, ...ways]);
  section.chart('KL by context', klChart(results, ways));
  chanceTable(section, results, ways);
  judge(section, results, ways, contexts);
}

/** @param {Result[]} of @param {(of: Result[]) => string | number} cell */
const cellOf = (of, cell) => (of.length === 0 ? '' : cell(of));

/** @param {Result[]} of */
function exactShare(of) {
  const sum = (/** @type {(answer: Answer) => number} */ value) => of.reduce((total, { answer }) => total + value(answer), 0);
  return sum(({ keysExact }) => keysExact) / sum(({ keysVisible }) => keysVisible);
}

/** @param {Result[]} results @param {Partial<Result>} wanted */
const select = (results, wanted) =>
  results.filter((result) => Object.entries(wanted).every(([field, value]) => result[/** @type {keyof Result} */ (field)] === value));

/**
 * @param {import('../sections/tasks.js').Sizes['contexts']} contexts
 * @param {'both' | 'hsr'} wanted
 * @param {string} how in words
 */
function readingOf(contexts, wanted, how) {
  const lengths = contexts.filter(({ read }) => read === wanted).map(({ length }) => length);
  return lengths.length > 0 ? [`${how}, at ${lengths.join(', ')} tokens`] : [];
}

/** @param {import('../section.js').Section} section @param {import('../sections/tasks.js').Sizes} sizes */
function introduce(section, { contexts, exact, certified, slowUpTo }) {
  const readings = [
    readingOf(contexts, 'both', 'exact, and once more by Algorithm 2 for "fast after hsr prefill"'),
    readingOf(contexts, 'hsr', 'by Algorithm 2 alone, to be quicker'),
  ].flat();
  section.text(
    `Into real text are planted: needles (a number for a name, each of its own depth), several needles (three numbers for one name; two are
given, the third is asked for), variables (a value, and two links after it: the value, each link, and the value of the last variable, which
no sentence says), and what people bought (the most frequent purchase is asked for, said in half of the sentences on someone, which are the
more the longer the text). Copying begins a passage of the text again. The tasks are those of RULER (arXiv 2404.06654), as a text to be
continued rather than a question in words, which suits a small model.`,
  );
  section.text(
    `One reading of the text is what every question goes on from: ${readings.join('; ')}. The
question's tokens and the answer's are decoded one by one by the way of attention that the column names. An answer is right where every
token of it is the most probable one, that is, where greedy decoding says it. Exact and certified attention are slow: they decode ${exact} and
${certified} tokens of each task, certified and r = 64 up to ${slowUpTo} tokens of context. Differences are to dense over the same questions.`,
  );
}

/** @param {import('../section.js').Section} section @param {Result[]} results @param {string[]} contexts */
function denseTable(section, results, contexts) {
  section.table(
    'Dense attention: what this model can do at all; log p is per token of the right answer; without the text: the same question alone',
    ['context', 'task', 'questions', 'right %', 'tokens right %', 'log p', 'right % without the text', 'log p without the text'],
    contexts.flatMap((where) =>
      TASKS.map((task) => {
        const [own, none] = [DENSE, NO_DOCUMENT].map((way) => select(results, { where, task, way }));
        const logP = (/** @type {Result[]} */ of) => round(meanOf(of, (answer) => answer.logProbability));
        return [
          where,
          task,
          own.length,
          percent(meanOf(own, rightOf), 0),
          percent(
            meanOf(own, (answer) => answer.tokensRight),
            0,
          ),
          logP(own),
          percent(meanOf(none, rightOf), 0),
          logP(none),
        ];
      }),
    ),
  );
}

/** @param {import('../section.js').Section} section @param {Result[]} results @param {string[]} ways */
function depthTable(section, results, ways) {
  const found = results.filter(({ task }) => task === NEEDLE);
  const bucket = (/** @type {Result} */ { depth }) => Math.min(DEPTHS - 1, Math.floor(DEPTHS * depth));
  section.table(
    'Needles by depth (0 % is the beginning), all contexts: right %, and log p per token',
    ['depth', 'questions', ...ways],
    Array.from({ length: DEPTHS }, (_, i) => {
      const here = found.filter((result) => bucket(result) === i);
      const cells = ways.map((way) =>
        cellOf(select(here, { way }), (of) => `${percent(meanOf(of, rightOf), 0)} (${round(meanOf(of, (a) => a.logProbability))})`),
      );
      return [`${(100 / DEPTHS) * i}-${(100 / DEPTHS) * (i + 1)} %`, select(here, { way: DENSE }).length, ...cells];
    }),
  );
}

/** @param {Result[]} results @param {string[]} ways */
function klChart(results, ways) {
  const lengths = [...new Set(results.map(({ length }) => length))];
  const series = ways.map((way) => ({
    name: way,
    points: lengths.flatMap((length) => {
      const of = select(results, { way, length });
      const kl = of.length > 0 ? meanOf(of, (answer) => answer.kl) : 0;
      return kl > 0 ? [/** @type {[number, number]} */ ([length, kl])] : []; // a logarithm has no place for 0
    }),
  }));
  return lineChart('KL of dense attention against each way, over answers', { x: 'context', y: 'KL in nats per token' }, series.filter(({ points }) => points.length > 0)); // prettier-ignore
}

/** @param {Result[]} of one way's */
function compared(of) {
  const lost = of.filter(({ answer, dense }) => dense.right && !answer.right).length;
  const won = of.filter(({ answer, dense }) => !dense.right && answer.right).length;
  const lower = of.filter(({ answer, dense }) => answer.logProbability < dense.logProbability).length;
  const higher = of.filter(({ answer, dense }) => answer.logProbability > dense.logProbability).length;
  return {
    questions: of.length,
    lost,
    won,
    chanceRight: chanceOf(lost, lost + won),
    lower,
    chanceLower: chanceOf(lower, lower + higher),
    change: mean(of.map(({ answer, dense }) => answer.logProbability - dense.logProbability)),
  };
}

/** @param {Result[]} results @param {string[]} ways */
const comparisons = (results, ways) =>
  ways.flatMap((way) => {
    const own = select(results, { way });
    const tasks = TASKS.map((task) => ({ task, of: select(own, { task }) })).filter(({ of }) => of.length > 0);
    return [{ task: ALL, of: own }, ...tasks].map(({ task, of }) => ({ way, task, ...compared(of) }));
  });

/** @param {import('../section.js').Section} section @param {Result[]} results @param {string[]} ways */
function chanceTable(section, results, ways) {
  section.text(
    `Over all contexts, question by question: how many dense attention answers rightly and this way does not (lost), and the other way round
(won); to how many right answers this way gives a lower probability than dense. p is how likely a coin makes so many or more (McNemar's test
and the sign test, one-sided, not corrected for the number of comparisons).`,
  );
  section.table(
    'Each way against dense, by task',
    ['way', 'task', 'questions', 'lost', 'won', 'p', 'lower log p', 'p', 'change of log p per token'],
    comparisons(results, ways).map((row) => [
      row.way,
      row.task,
      row.questions,
      row.lost,
      row.won,
      significant(row.chanceRight, 2),
      row.lower,
      significant(row.chanceLower, 2),
      significant(row.change, 2),
    ]),
  );
}

/**
 * @param {import('../section.js').Section} section
 * @param {Result[]} results
 * @param {string[]} ways
 * @param {string[]} contexts
 */
function judge(section, results, ways, contexts) {
  const all = comparisons(results, ways);
  for (const way of ways) {
    const own = all.filter((row) => row.way === way);
    const worse = own.filter((row) => row.chanceRight < RARE);
    if (worse.length > 0)
      section.says(
        `${way} answers fewer questions rightly than dense attention, by more than chance (p < ${RARE}): ${worse.map((row) => `${row.task} (${row.lost} of ${row.questions} lost, ${row.won} won)`).join(', ')}.`,
      );
    const fainter = own.filter((row) => row.chanceLower < RARE && row.change < 0);
    if (fainter.length > 0)
      section.says(
        `${way} gives the right answers a lower probability than dense attention, by more than chance (p < ${RARE}): ${fainter.map((row) => `${row.task} (${significant(row.change, 2)} nats a token)`).join(', ')}.`,
      );
  }
  const failed = contexts.flatMap((where) => {
    const tasks = TASKS.filter((task) => meanOf(select(results, { where, task, way: DENSE }), rightOf) < 0.5);
    return tasks.length > 0 ? [`${tasks.join(', ')} at ${where}`] : [];
  });
  if (failed.length > 0)
    section.says(
      `The model itself, with dense attention, answers less than half of the questions: ${failed.join('; ')}. What sparse attention loses there shows in KL and in log p, not in right answers.`,
    );
}
