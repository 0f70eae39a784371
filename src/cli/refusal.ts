/** A command that cannot be done; the message starts with what to do about it. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}
