/** To write the pages anew: vitest run test/docs -u */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { type ErrorKind, errorTable } from '../../src/core/errors.ts';
import { errorsPage, unusedKinds } from './errors-page.ts';
import { metricsPage } from './metrics-page.ts';

const root = resolve(import.meta.dirname, '../..');

test('docs/errors.md is what the error table says', async () => {
  await expect(errorsPage()).toMatchFileSnapshot(`${root}/docs/errors.md`);
});

test('docs/metrics.md is what a gateway exposes', async () => {
  await expect(await metricsPage()).toMatchFileSnapshot(`${root}/docs/metrics.md`);
});

test('every kind of error is answered by some room, but for those kept for later', () => {
  const source = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('core/errors.ts'))
    .map((file) => readFileSync(join(root, 'src', file), 'utf8'))
    .join('\n');
  const kinds = Object.keys(errorTable) as ErrorKind[];
  // An unknown fault becomes `internal` in the table's own file.
  const unused = kinds.filter((kind) => kind !== 'internal' && !source.includes(`'${kind}'`));
  expect(unused).toEqual(unusedKinds);
});
