/** Refused changes, in the same words whatever kind of store refuses them. */
import type { RegistryError } from './registry-error.ts';
import { conflict, invalid, notFound, projectAgentsMax, quote } from './registry-rules.ts';

export function noProject(idOrName: string): RegistryError {
  return notFound(`list the projects for the right one: there is none ${quote(idOrName)}`);
}

export function projectNameTaken(name: string): RegistryError {
  return conflict(`choose another name: there is a project ${quote(name)} already`);
}

export function noAgent(id: string): RegistryError {
  return notFound(`list the agents for the right id: the project has none ${quote(id)}`);
}

export function agentTaken(by: 'own project' | 'another project'): RegistryError {
  return conflict(
    by === 'own project'
      ? 'use the agent as it is: the project has it already'
      : 'check the id: this agent belongs to another project, and an agent has one only',
  );
}

export function tooManyAgents(): RegistryError {
  return invalid(
    'remove agents that are not used, or add it to another project: ' +
      `one project has at most ${projectAgentsMax}`,
  );
}

export function foreignAgent(id: string): RegistryError {
  return invalid(`name agents of the key's own project: it has none with the id ${quote(id)}`);
}

export function noKey(id: string): RegistryError {
  return notFound(`list the keys for the right id: there is no key ${quote(id)}`);
}

export function keyTaken(known: 'active' | 'revoked'): RegistryError {
  return conflict(
    known === 'active'
      ? 'use the key that is there: this one was added already'
      : 'make a new key: this one was revoked, which is for good',
  );
}
