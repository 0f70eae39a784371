import { expect, test } from 'vitest';
import { notUuid } from '../../src/routing/hints.ts';

const random = 'k3jQz81TmBv02LrWx5YdNc7HsGfA94Pe0aB3cD';

test.each([
  ['a key', `mibo_${random}`],
  ['a key without its prefix', random],
  ['a key that is percent-encoded', `%6d%69%62%6f%5f${random}`],
  ['a key in a text', `x-api-key=${random}; y`],
])('a hint about an id does not show %s', (_what, found) => {
  const { hint } = notUuid(found, 'platformId');
  expect(hint).not.toContain(random.slice(6));
  expect(hint).toContain('found ');
});

test.each([
  '"7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c"',
  'urn:uuid:7b0f2c1e-5a44-4d0e-9b7e-3c1d2f4a5b6c',
  '7b0f2c1e5a444d0e9b7e3c1d2f4a5b6c',
  'support bot',
])('it shows what is nearly an id: %s', (found) => {
  expect(notUuid(found, 'platformId').hint).toContain(`found ${found}`);
});
