/** HTTP/1.1 as a client writes it: headers in the order and the case that the test gives. */
import { type Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';

export type HttpAnswer = {
  readonly status: number;
  readonly reason: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
};

export type HttpCall = {
  readonly port: number;
  readonly path?: string;
  readonly method?: string;
  /** Name, value, name, value; `Host` and the body's framing are added if they are missing. */
  readonly headers?: readonly string[];
  readonly body?: Buffer | string;
  readonly agent?: Agent;
};

export function http(call: HttpCall): Promise<HttpAnswer> {
  const { answer, upload } = openHttp(call);
  upload.end(call.body);
  return answer;
}

export type OpenCall = {
  readonly answer: Promise<HttpAnswer>;
  readonly upload: ReturnType<typeof request>;
};

/** The head is sent; the test writes the body as it likes. */
export function openHttp(call: HttpCall): OpenCall {
  const upload = request({
    host: '127.0.0.1',
    port: call.port,
    path: call.path ?? '/v1/traces',
    method: call.method ?? 'POST',
    headers: framed(call),
    setDefaultHeaders: false,
    ...(call.agent === undefined ? {} : { agent: call.agent }),
  });
  const answer = new Promise<HttpAnswer>((resolve, reject) => {
    let answered = false;
    // A refusal may come before the body is sent; what goes wrong after it does not matter.
    upload.on('error', (error) => {
      if (!answered) reject(error);
    });
    upload.on('response', (response) => {
      answered = true;
      readAnswer(response).then(resolve, reject);
    });
  });
  answer.catch(() => {});
  return { answer, upload };
}

function framed(call: HttpCall): string[] {
  const headers = [...(call.headers ?? [])];
  const names = new Set(
    headers.filter((_, index) => index % 2 === 0).map((it) => it.toLowerCase()),
  );
  if (!names.has('host')) headers.push('Host', `127.0.0.1:${call.port}`);
  if (!names.has('content-length') && !names.has('transfer-encoding') && call.method !== 'GET') {
    headers.push('Content-Length', String(Buffer.byteLength(call.body ?? '')));
  }
  return headers;
}

export async function readAnswer(response: IncomingMessage): Promise<HttpAnswer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return {
    status: response.statusCode ?? 0,
    reason: response.statusMessage ?? '',
    headers: response.headers,
    body: Buffer.concat(chunks),
  };
}

/** The text of a page of the gateway: health, metrics. */
export async function getText(port: number, path: string): Promise<string> {
  // Kept open, it might be closed by a server that stood still just when the next request is sent.
  const headers = ['Connection', 'close'];
  const { body } = await http({ port, path, method: 'GET', headers });
  return body.toString();
}
