/**
 * A port for a server that is told its port, and that keeps it over a restart. Below the range
 * that systems hand out by themselves (Linux from 32768, macOS from 49152), so that no connection
 * and no `listen(0)` takes it in between. It may be taken all the same: then the server says so at
 * its start, and another is drawn.
 */
import { randomInt } from 'node:crypto';

export function sparePort(): number {
  return randomInt(20_000, 32_000);
}
