/**
 * Who is sending: the project and the API key, and the agents that the key may reach.
 *
 * Invariant: `agents` never holds an agent of another project. A tenant is an immutable snapshot.
 */
export type Tenant = {
  /** Empty in passthrough mode, where the next hop knows the project. */
  readonly projectId: string;
  readonly keyId: string;
  readonly keyName: string;
  /**
   * `project`: every agent of the project. `agents`: those that the key is scoped to.
   * `next_hop`: not known here (passthrough without a platform id); the next hop decides.
   */
  readonly scope: 'project' | 'agents' | 'next_hop';
  /** Lower-case agent id → agent name. */
  readonly agents: ReadonlyMap<string, string>;
  /** Passthrough only: the key that goes on to the next hop. Never logged. */
  readonly forwardKey?: string;
};
