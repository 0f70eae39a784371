import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import { type SignalSource, stopSignal } from '../../src/cli/stop-signal.ts';

function start() {
  const source = new EventEmitter() as EventEmitter & SignalSource;
  let nowMs = 1000;
  let stoppedNow = 0;
  const stopNow = () => {
    stoppedNow += 1;
  };
  const requested = stopSignal({ process: source, stopNow, nowMs: () => nowMs });
  return {
    requested,
    send(name: string, afterMs = 0) {
      nowMs += afterMs;
      source.emit(name);
      return stoppedNow;
    },
  };
}

describe('a request to stop', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'])('comes with the first %s', async (name) => {
    const { requested, send } = start();
    expect(send(name)).toBe(0);
    expect(await requested).toBe(name);
  });

  test('is one, though the same signal comes twice within half a second', () => {
    const { send } = start();
    send('SIGINT');
    expect(send('SIGINT', 499)).toBe(0);
  });

  test('means at once when the signal comes again after that', () => {
    const { send } = start();
    send('SIGINT');
    expect(send('SIGINT', 500)).toBe(1);
  });

  test('means at once when another signal comes', () => {
    const { send } = start();
    send('SIGINT');
    expect(send('SIGTERM')).toBe(1);
  });

  test('comes too when the process that started this one is gone', async () => {
    const { requested, send } = start();
    send('disconnect');
    expect(await requested).toBe('disconnect');
  });
});
