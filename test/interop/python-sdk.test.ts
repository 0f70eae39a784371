/** The official OpenTelemetry SDK for Python. */
import { join } from 'node:path';
import { test } from 'vitest';
import { hasPython, preparePython } from '../harness/python-environment.ts';
import { describeSdk } from './sdk-suite.ts';

if (hasPython()) {
  const programs = preparePython({
    name: 'interop-python',
    requirements: join(import.meta.dirname, 'requirements.txt'),
  });
  describeSdk({
    name: 'the Python SDK',
    command: [join(programs, 'python'), join(import.meta.dirname, 'clients/send_spans.py')],
    httpProtocols: ['http/protobuf'],
  });
} else {
  console.warn('python3 is not installed: the Python SDK is NOT tested here');
  test.skip('the Python SDK, for want of python3', () => {});
}
