/** A change to the registry that was refused; the message says what to do, in plain words. */
export type RegistryErrorCode = 'not_found' | 'conflict' | 'invalid';

export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  readonly code: RegistryErrorCode;

  constructor(code: RegistryErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
