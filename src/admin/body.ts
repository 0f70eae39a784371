/**
 * Reading the body of a change: JSON only, as no form on a page can send it, and bounded.
 *
 * hono's own limit builds a new global `Request`, which the adapter's is not; so the bytes are read
 * here and left where the adapter looks for them.
 */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { MiddlewareHandler } from 'hono';
import { matchedRoutes } from 'hono/route';
import { jsonType, notJson, ProblemError } from './problem.ts';
import type { Env } from './routes.ts';

const bodyBytesMax = 64 * 1024;

export const readBody: MiddlewareHandler<Env> = async (c, next) => {
  if (matchedRoutes(c).some(({ method }) => method === 'POST' || method === 'PATCH')) {
    const [type = ''] = (c.req.header('content-type') ?? '').split(';');
    if (type.trim().toLowerCase() !== jsonType) {
      throw new ProblemError(415, notJson);
    }
    // The routes check it again, by a pattern that knows only well-formed parameters.
    c.req.raw.headers.set('content-type', jsonType);
    const body = await read(c.env.incoming);
    if (!isUtf8(body)) throw new ProblemError(400, 'send the body in UTF-8');
    Object.assign(c.env.incoming, { rawBody: body });
  }
  await next();
};

async function read(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Says before anything is read that all of it would be too much.
  if (Number(incoming.headers['content-length'] ?? 0) > bodyBytesMax) throw tooLarge();
  try {
    for await (const chunk of incoming.iterator({ destroyOnReturn: false })) {
      bytes += chunk.length;
      if (bytes > bodyBytesMax) break;
      chunks.push(chunk);
    }
  } catch (cause) {
    throw new ProblemError(400, 'send the whole body: it was cut off', { cause });
  }
  if (bytes > bodyBytesMax) throw tooLarge();
  return Buffer.concat(chunks);
}

function tooLarge(): ProblemError {
  return new ProblemError(413, 'send less: a body may have 64 KiB');
}
