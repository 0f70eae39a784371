import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { ConfigError, renderConfig } from '../../src/config/config.ts';
import { entries } from '../../src/config/schema.ts';
import { load } from './configs.ts';

const name = fc.constantFrom(...entries.map(({ path }) => path), ['downstream', 'headers', 'x']);

/** Loads, or fails with a `ConfigError`; any other fault comes through. */
function loadOrRefuse(given: Parameters<typeof load>[0]) {
  try {
    return load(given);
  } catch (fault) {
    expect(fault).toBeInstanceOf(ConfigError);
    return undefined;
  }
}

test('whatever stands at a setting loads, or is refused as a problem of the configuration', () => {
  const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom('__proto__', '$', '5s'));
  fc.assert(
    fc.property(name, value, (path, held) => {
      const tree = path.reduceRight<unknown>((inner, part) => ({ [part]: inner }), held);
      const config = loadOrRefuse({ files: [stringify(tree)] });
      if (config !== undefined) loadOrRefuse({ files: [renderConfig(config)] });
    }),
    { numRuns: 150 },
  );
});

test('whatever a file, --set or a variable holds is read or refused', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[\s:{}[\],&*!|>'"%@`$#?a.-]*$/),
  );
  fc.assert(
    fc.property(name, text, (path, held) => {
      const variable = held.replaceAll('\0', '');
      const setting = path.join('.');
      loadOrRefuse({ files: [held] });
      loadOrRefuse({ sets: [held, `${setting}=${held}`] });
      loadOrRefuse({ sets: [`${setting}=\${env:V}`], env: { V: variable } });
    }),
    { numRuns: 150 },
  );
});

test('a header that cannot be kept is refused and not lost', () => {
  expect(() => load({ sets: ['downstream.headers.__proto__=x'] })).toThrow('downstream.headers');
});
