/**
 * Whether a text is a URL of PostgreSQL in which everyone sees the same parts.
 *
 *   postgres://[user[:password]@][host][:port][/database][?parameters]
 *
 * Parsers of URLs take more, and find a host or a database in what a person meant as the password:
 * `postgres://app:/secret@db/name` has the host `app`. So an `@` behind the host is refused, and
 * so is a port that is no number.
 */
export function isPostgresUrl(text: string): boolean {
  return shape.test(text) && !/\p{Cc}/u.test(text) && URL.canParse(text);
}

const host = String.raw`(?:[^\s@/?#:[\],;=&]+|\[[\da-fA-F:.]+\])(?::\d+)?`;
const shape = new RegExp(
  String.raw`^postgres(?:ql)?://(?=\S)(?:[^\s/?#]*@)?(?:${host})?(?:/[^\s@/?#]*)?(?:\?[^\s@#]*)?$`,
);
