/**
 * Spans as an instrumented agent sends them: a run of the agent with model calls, tool calls and
 * look-ups below it, attributes of the GenAI semantic conventions, prompts and answers as text.
 * From a seed, so that every process of a run makes the same bytes.
 */

type AnyValue = { stringValue: string } | { intValue: string } | { doubleValue: number };
export type KeyValue = { key: string; value: AnyValue };

/** In OTLP's JSON form: ids in hex, 64-bit numbers as text. */
export type Span = {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: KeyValue[];
  status: { code?: number };
};

export type Random = {
  /** A whole number from 0 to `below` - 1. */
  whole(below: number): number;
  hex(bytes: number): string;
};

/** Mulberry32: small, and good enough to vary text. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return {
    whole: (below) => next() % below,
    hex(bytes) {
      let text = '';
      while (text.length < bytes * 2) text += next().toString(16).padStart(8, '0');
      return text.slice(0, bytes * 2);
    },
  };
}

const words = (
  'the a to of and in your you is for order refund we that I can it with on please was not have ' +
  'customer account this delivery will be are as my from at invoice if by or policy an has days ' +
  'within after item support payment card shipped which there when been their out request agent ' +
  'find number address status date email would before what next tracking return received package ' +
  'warehouse delayed courier replacement cancel subscription billing plan upgrade monthly charge ' +
  'duplicate transaction bank statement confirm identity password reset link expired résumé ' +
  'warranty damaged photo attach label printed drop-off nearest branch weekend holiday ' +
  'escalate naïve'
).split(' ');

/** Common words come first and more often, as in speech. */
function sentence(random: Random, count: number): string {
  const chosen = Array.from(
    { length: count },
    () => words[Math.min(random.whole(words.length), random.whole(words.length))],
  );
  return `${chosen.join(' ')}.`;
}

const text = (key: string, value: string): KeyValue => ({ key, value: { stringValue: value } });
const whole = (key: string, value: number): KeyValue => ({
  key,
  value: { intValue: String(value) },
});

type Content = Pick<Span, 'name' | 'kind' | 'attributes'>;

const contents: readonly ((random: Random) => Content)[] = [
  (random) => ({
    name: 'chat gpt-4.1-mini',
    kind: 3,
    attributes: [
      text('gen_ai.operation.name', 'chat'),
      text('gen_ai.provider.name', 'openai'),
      text('gen_ai.request.model', 'gpt-4.1-mini'),
      { key: 'gen_ai.request.temperature', value: { doubleValue: 0.2 } },
      whole('gen_ai.usage.input_tokens', 200 + random.whole(4000)),
      whole('gen_ai.usage.output_tokens', random.whole(900)),
      text('gen_ai.response.id', `chatcmpl-${random.hex(12)}`),
      text('gen_ai.prompt', sentence(random, 24)),
      text('gen_ai.completion', sentence(random, 22)),
    ],
  }),
  (random) => ({
    name: 'execute_tool lookup_order',
    kind: 1,
    attributes: [
      text('gen_ai.operation.name', 'execute_tool'),
      text('gen_ai.tool.name', 'lookup_order'),
      text('gen_ai.tool.call.id', `call_${random.hex(12)}`),
      text('gen_ai.tool.call.arguments', `{"order_id":"${random.hex(5)}","expand":["items"]}`),
      text('gen_ai.tool.call.result', `{"note":"${sentence(random, 14)}"}`),
    ],
  }),
  (random) => ({
    name: 'POST /v1/embeddings',
    kind: 3,
    attributes: [
      text('http.request.method', 'POST'),
      text('server.address', 'models.internal.example'),
      whole('http.response.status_code', 200),
      whole('gen_ai.usage.input_tokens', random.whole(300)),
      text('db.collection.name', 'help_centre'),
      text('retrieval.query', sentence(random, 18)),
      text('retrieval.document.id', `doc-${random.hex(6)}`),
    ],
  }),
];

/** `count` spans of one trace, the first one the root of the others. */
export function llmSpans(random: Random, count: number): Span[] {
  const traceId = random.hex(16);
  const rootId = random.hex(8);
  let atNs = 1_760_000_000_000_000_000n + BigInt(random.whole(1_000_000_000));
  return Array.from({ length: count }, (_, index) => {
    const contentOf = contents[random.whole(contents.length)] as (random: Random) => Content;
    const startNs = atNs;
    atNs += BigInt(1_000_000 + random.whole(40_000_000));
    return {
      traceId,
      spanId: index === 0 ? rootId : random.hex(8),
      parentSpanId: index === 0 ? '' : rootId,
      ...contentOf(random),
      startTimeUnixNano: String(startNs),
      endTimeUnixNano: String(atNs),
      status: {},
    };
  });
}
