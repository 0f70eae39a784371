/**
 * What a process costs, from Linux's /proc: CPU of every thread in nanoseconds, and the most memory
 * that it ever held. And how busy a core was altogether, which tells who else was on it.
 *
 * A thread's schedstat disappears with it, so threads are read again and again while the meter
 * runs; what one used after its last reading is lost. /proc/PID/stat keeps the sum of ended threads
 * too, but only in 10 ms steps: it is the check of the finer number.
 */
import { readdirSync, readFileSync } from 'node:fs';

export type Cost = {
  readonly cpuSeconds: number;
  /** The same from /proc/PID/stat: coarser, ended threads included. */
  readonly cpuSecondsCoarse: number;
  /** The peak since the process began. */
  readonly rssMaxMib: number;
};

const samplePeriodMs = 200;
const ticksPerSecond = 100;

export type Meter = {
  /** Since the start. */
  read(): Cost;
  stop(): void;
};

export function startMeter(pid: number): Meter {
  const first = new Map<string, number>();
  const last = new Map<string, number>();
  const sample = () => {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const usedNs = threadNs(pid, thread);
      if (usedNs !== undefined) last.set(thread, usedNs);
    }
  };
  sample();
  for (const [thread, usedNs] of last) first.set(thread, usedNs);
  const coarseFirst = processTicks(pid);
  const timer = setInterval(sample, samplePeriodMs);
  return {
    stop: () => clearInterval(timer),
    read() {
      sample();
      let usedNs = 0;
      for (const [thread, atNs] of last) usedNs += atNs - (first.get(thread) ?? 0);
      return {
        cpuSeconds: usedNs / 1e9,
        cpuSecondsCoarse: (processTicks(pid) - coarseFirst) / ticksPerSecond,
        rssMaxMib: rssMaxMib(pid),
      };
    },
  };
}

/** The first number of schedstat is the time on a CPU; undefined if the thread has just ended. */
function threadNs(pid: number, thread: string): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8');
    return Number(text.split(' ', 1)[0]);
  } catch {
    return undefined;
  }
}

/** utime and stime, the 14th and 15th word; the second one, in brackets, may hold spaces. */
function processTicks(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const afterName = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return Number(afterName[11]) + Number(afterName[12]);
}

function rssMaxMib(pid: number): number {
  const found = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1]) / 1024;
}

/** CPU seconds that a core has worked since the machine started, for whomever; 10 ms steps. */
export function coreBusySeconds(core: number): number {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'));
  // user, nice, system, idle, iowait, irq, softirq, and steal: time of the host's other guests.
  const [user, nice, system, , , irq, softIrq, steal] = (line?.[1] ?? '').split(' ').map(Number);
  return sum([user, nice, system, irq, softIrq, steal]) / ticksPerSecond;
}

function sum(values: readonly (number | undefined)[]): number {
  return values.reduce<number>((total, value) => total + (value ?? 0), 0);
}
