/** A downstream may quote what it was sent; keys and configured values go no further. */
import { afterEach, describe, expect, test } from 'vitest';
import type { Delivery } from '../../src/core/delivery.ts';
import { delivery } from '../queue/delivery.ts';
import { type Downstream, type Respond, respondWith, startDownstream } from './downstream.ts';
import { type OpenForwarder, openForwarder } from './open-forwarder.ts';

let downstream: Downstream;
let opened: OpenForwarder;

const clientKey = 'mibo_live-Client_0123456789';
const oddKey = 'a key of another shape';
const token = 'opaque-token-of-the-operator';

async function open(respond: Respond, headers: Readonly<Record<string, string>> = {}) {
  downstream = await startDownstream(respond);
  opened = openForwarder({ endpoint: downstream.endpoint, downstream: { headers } });
}

afterEach(async () => {
  await opened.close();
  await downstream.stop();
});

/** All that leaves the forwarder in sync mode. */
async function deliverNow(given: Partial<Delivery> = {}): Promise<string> {
  const outcomes = await opened.forwarder.deliverNow([delivery(given)], 9000);
  return JSON.stringify(outcomes) + opened.logLines.join('');
}

const json = { 'content-type': 'application/json' };

/** The two ways in which words of the downstream get further: a refusal, and a partial success. */
const answers: readonly (readonly [string, (text: string) => Respond])[] = [
  ['a refusal', (text) => respondWith(401, `{"error":"unknown: ${text}!"}`)],
  [
    'a partial success',
    (text) => respondWith(200, `{"partialSuccess":{"errorMessage":"unknown: ${text}!"}}`, json),
  ],
];

describe.each(answers)('%s that quotes', (_what, answer) => {
  test.each([
    ['the client’s key', clientKey, { forwardKey: clientKey }],
    ['a client’s key of any shape', oddKey, { forwardKey: oddKey }],
    ['the key of somebody else', 'MIBO_somebody-else', { forwardKey: clientKey }],
    ['a key as in a URL', clientKey.replace('_', '%5F'), { forwardKey: clientKey }],
    ['a configured value', `Bearer ${token}`, {}],
    ['a part of a configured value', token, {}],
  ])('%s does not let it out', async (_which, quoted, given) => {
    await open(answer(quoted), { Authorization: `Bearer ${token}`, 'x-region': 'eu' });
    const said = await deliverNow(given);
    expect(said).toContain('unknown: ****!');
    expect(said).not.toContain(quoted);
  });

  test('a secret where it is cut off shows no part of it', async () => {
    await open(answer(`${'x'.repeat(270)} ${token}`), { 'x-token': token });
    expect(await deliverNow()).not.toContain('opaque');
  });
});

test('a delivery from the queue that is refused is logged without the key', async () => {
  await open(respondWith(401, `unknown key ${clientKey}`));
  opened.forwarder.run(opened.queue);
  await opened.append(delivery({ forwardKey: clientKey }));
  await opened.emptied();
  expect(opened.logLines.join('')).toContain('"answer":"unknown key ****"');
});

describe('an answer that is relayed', () => {
  const flat = (given: Partial<Delivery> = {}) =>
    opened.forwarder.relay(delivery({ signal: 'traces_api', encoding: 'json', ...given }), 9000);

  test('comes without the key that was sent, and is else as it was', async () => {
    const bytes = (key: string) => Buffer.from(`\xff{"error":"é ${key} ${key} opaque"}`, 'latin1');
    await open((response) => void response.writeHead(401).end(bytes(clientKey)));
    expect(await flat({ forwardKey: clientKey })).toMatchObject({ body: bytes('****') });
  });

  test('comes without the gateway’s own key', async () => {
    await open(respondWith(401, `unknown key ${token}`), { 'X-Api-Key': token });
    expect((await flat()).body.toString()).toBe('unknown key ****');
  });

  test('keeps words that are also in a configured header', async () => {
    await open(respondWith(200, '{"environment":"production"}'), { 'x-env': 'production' });
    expect((await flat()).body.toString()).toBe('{"environment":"production"}');
  });
});
