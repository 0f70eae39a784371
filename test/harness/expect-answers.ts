/** What a test says about many answers at once; where it does not hold, it tells who got what. */
import { expect } from 'vitest';
import type { Answer } from './traffic.ts';

/** Each answer has one of these statuses, and each status was answered. */
export function expectStatuses(answers: readonly Answer[], ...wanted: readonly number[]): void {
  const found = [...new Set(answers.map(({ status }) => status))].sort((a, b) => a - b);
  expect(found, tally(answers)).toEqual(wanted);
}

/** No answer has one of these statuses. */
export function expectNone(answers: readonly Answer[], ...unwanted: readonly number[]): void {
  const found = answers.filter(({ status }) => unwanted.includes(status));
  expect(found.length, tally(answers)).toBe(0);
}

/** For filters: the answers to one key. */
export function named(...names: readonly string[]): (answer: Answer) => boolean {
  return ({ key }) => names.includes(key);
}

/** Who answered what to whom, and how often. */
function tally(answers: readonly Answer[]): string {
  const counts = new Map<string, number>();
  for (const { gateway, door, key, status } of answers) {
    const name = `${gateway}, ${door}, ${key}: ${status}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => `${name} × ${count}`).join('\n');
}
