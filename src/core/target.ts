/** What a request itself says about its target, before any rule is applied to it. */
export type NamedTarget =
  /** Nothing there, or an empty string. */
  | { readonly kind: 'absent' }
  /** A non-empty string as it was sent; not yet known to be a UUID. */
  | { readonly kind: 'named'; readonly value: string }
  /** Something that is not a string; `found` describes it for a person: `the integer 42`. */
  | { readonly kind: 'unusable'; readonly found: string };

export const absentTarget: NamedTarget = { kind: 'absent' };

/** A header's or a JSON field's text as a target: an empty string counts as absent. */
export function targetOfText(text: string | undefined): NamedTarget {
  return text === undefined || text === '' ? absentTarget : { kind: 'named', value: text };
}
