/** The official OpenTelemetry SDK for Python. */
import { resolve } from 'node:path';
import { test } from 'vitest';
import { hasPython, preparePython } from './python-environment.ts';
import { describeSdk } from './sdk-suite.ts';

if (hasPython()) {
  describeSdk({
    name: 'the Python SDK',
    command: [preparePython(), resolve(import.meta.dirname, 'clients/send_spans.py')],
    httpProtocols: ['http/protobuf'],
  });
} else {
  console.warn('python3 is not installed: the Python SDK is NOT tested here');
  test.skip('the Python SDK, for want of python3', () => {});
}
