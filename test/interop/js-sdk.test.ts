/** The official OpenTelemetry SDK for JavaScript. */
import { resolve } from 'node:path';
import { describeSdk } from './sdk-suite.ts';

describeSdk({
  name: 'the JavaScript SDK',
  command: [process.execPath, resolve(import.meta.dirname, 'clients/send-spans.ts')],
  httpProtocols: ['http/protobuf', 'http/json'],
});
