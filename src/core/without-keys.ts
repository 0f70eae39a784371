/**
 * Text that a sender wrote, to be shown in an answer or a log: without what may be an API key that
 * stands in the wrong field, with its prefix or without it, percent-encoded or not.
 */
const prefixed = /mibo(?:_|%5f)[\w%-]+/gi;
const run = /[\w%-]+/g;
/** And what people put around it. */
const uuid = /^(?:%[\da-f]{2}|urn|uuid)*[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}(?:%[\da-f]{2})*$/i;

/** A run of `charsMin` characters without a gap is told by its length; a UUID is shown. */
export function withoutKeys(text: string, charsMin: number): string {
  return text
    .replace(prefixed, 'mibo_...')
    .replace(run, (found) =>
      found.length < charsMin || uuid.test(found)
        ? found
        : `${found.slice(0, 4)}... (${found.length} characters)`,
    );
}
