/**
 * The key from the headers of a request, or a refusal whose hint names the mistake in them.
 *
 * Exporters show little of an answer, so each hint starts with the fix. No hint holds any part of
 * what was sent.
 */
import { GatewayError } from '../core/errors.ts';
import type { Credentials } from '../core/incoming.ts';
import { isKeyShaped } from './key-format.ts';

export type KeyReaderOptions = {
  /** Lower-case name of the header with the key. */
  readonly apiKeyHeader: string;
  /** Takes anything that has no evident mistake in it: the next hop knows what a key is. */
  readonly anyShape?: boolean;
};

/** Throws `GatewayError`: `missing_api_key` or `invalid_api_key`. */
export type KeyReader = (credentials: Credentials) => string;

type Mistake = { readonly found: RegExp; readonly hint: string };

export function createKeyReader({ apiKeyHeader, anyShape = false }: KeyReaderOptions): KeyReader {
  const mistakes = mistakesFor(apiKeyHeader);

  function checked(key: string): string {
    const mistake = mistakes.find(({ found }) => found.test(key));
    if (mistake !== undefined) throw refused(mistake.hint);
    if (!anyShape && !isKeyShaped(key)) throw refused(unlikeAnyKey(key));
    return key;
  }

  return ({ apiKey, authorization }) => {
    const [first] = apiKey;
    const alone = apiKey.length === 1 && authorization.length === 0;
    if (alone && first !== undefined && isKeyShaped(first)) return first;

    const inHeader = only(apiKey, apiKeyHeader);
    const inBearer = bearerOf(only(authorization, 'authorization'));
    const key = inHeader === undefined ? undefined : checked(inHeader);
    const other = inBearer === undefined ? undefined : checked(inBearer);
    if (key !== undefined && other !== undefined && key !== other) {
      throw refused(`send one API key: ${apiKeyHeader} and Authorization carry different ones`);
    }
    const found = key ?? other;
    if (found === undefined) throw missing(apiKeyHeader);
    return found;
  };
}

/** The one value of a header; an empty one counts as absent. */
function only(values: readonly string[], header: string): string | undefined {
  if (values.length > 1) {
    throw refused(`send the header ${header} once: it arrived ${values.length} times`);
  }
  const [value = ''] = values;
  return value.trim() === '' ? undefined : value;
}

/** Other schemes are not ours to judge: a proxy may have its own login there. */
function bearerOf(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined;
  const bearer = /^bearer (.*)$/is.exec(authorization);
  if (bearer !== null) return bearer[1];
  // Quoted as a whole: the list of mistakes says so.
  if (/^["'`]/.test(authorization)) return authorization;
  if (/^bearer%20/i.test(authorization)) {
    throw refused('write a space for the "%20" in Authorization: this sender does not decode it');
  }
  if (/^\s*mibo_/.test(authorization)) {
    throw refused('write "Bearer " in front of the API key in the header Authorization');
  }
  return undefined;
}

/** In the order in which they are looked for: the most telling first. */
function mistakesFor(header: string): readonly Mistake[] {
  const named = new RegExp(`^\\s*(?:${RegExp.escape(header)}|x-api-key)\\s*[:=]`, 'i');
  return [
    {
      found: /,/,
      hint: `send one API key: ${header} holds a comma, as if it was sent twice`,
    },
    {
      found: /^\s*["'`\u2018-\u201d]|["'`\u2018-\u201d]\s*$|%2[27]|\u00e2\u0080/i,
      hint: `remove the quotes around the API key: write ${header}=<your key> without any`,
    },
    {
      found: named,
      hint: `remove "${header}=" in front of the API key: the header's value is the key alone`,
    },
    {
      found: /^\s*bearer(?:\s|%20|$)/i,
      hint: `remove "Bearer" in front of the API key: ${header} takes the key alone`,
    },
    {
      found: /%20/,
      hint: 'remove "%20" from the API key: this sender does not decode it to a space',
    },
    {
      found: /%[0-9a-f]{2}/i,
      hint: 'write the API key as it is, without percent-encoding',
    },
    { found: /^\s|\s$/, hint: 'remove the spaces before and after the API key' },
    { found: /\s/, hint: 'remove the spaces or line breaks inside the API key' },
    {
      found: /\.\.\./,
      hint: 'use the full API key: this is its masked form. The full key is shown once, when made',
    },
    {
      found: /^[<${[]/,
      hint: 'put your API key where the placeholder stands: it was sent as it is written',
    },
  ];
}

function unlikeAnyKey(key: string): string {
  return key.startsWith('mibo_')
    ? 'copy the API key again, whole: its length or a character in it cannot be right'
    : 'use a Mibo API key: it starts with "mibo_", and this one does not';
}

function refused(hint: string): GatewayError {
  return new GatewayError('invalid_api_key', hint);
}

function missing(header: string): GatewayError {
  return new GatewayError(
    'missing_api_key',
    `set OTEL_EXPORTER_OTLP_HEADERS=${header}=<your key>: no API key arrived. Usual mistakes: ` +
      'quotes around the value, a colon instead of the "=", a space or %20 before the key, or ' +
      'the variable is not set where the program runs. Without an SDK: send the header ' +
      `${header}: <your key>, or Authorization: Bearer <your key>`,
  );
}
