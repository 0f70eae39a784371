/** What every kind of store keeps. Each kind runs this on its real engine. */
import { agentsContract } from './store-contract-agents.ts';
import { keysContract } from './store-contract-keys.ts';
import { readingContract } from './store-contract-reading.ts';
import { rulesContract } from './store-contract-rules.ts';
import type { OpenStore } from './store-under-test.ts';

export function storeContract(open: OpenStore): void {
  agentsContract(open);
  keysContract(open);
  rulesContract(open);
  readingContract(open);
}
