/** Who may use the admin API, and what everybody else is told. */
import { connect } from 'node:net';
import { HTTPException } from 'hono/http-exception';
import { describe, expect, test } from 'vitest';
import { adminNeedsToken, createAdmin } from '../../src/admin/admin.ts';
import { problemOf } from '../../src/admin/problem.ts';
import { systemClock } from '../../src/core/clock.ts';
import { GatewayError } from '../../src/core/errors.ts';
import { createObservability } from '../../src/observability/observability.ts';
import { http, openHttp } from '../harness/http-client.ts';
import { exampleStatus, openStore, startAdmin, token } from './admin-under-test.ts';

const json = ['Content-Type', 'application/json'];

describe('with a token', () => {
  test('whoever shows it is served, whatever else the request says', async () => {
    const { port } = await startAdmin();
    for (const headers of [
      ['Authorization', `Bearer ${token}`],
      ['authorization', `bearer  ${token}`],
      [
        'Authorization',
        `Bearer ${token}`,
        'Host',
        'gateway.example',
        'Origin',
        'https://x.example',
      ],
    ]) {
      const { status } = await http({ port, method: 'GET', path: '/admin/v1/projects', headers });
      expect(status, headers.join()).toBe(200);
    }
  });

  test('nobody else is, not even told which paths there are', async () => {
    const { port, logged } = await startAdmin();
    const wrong = [
      [],
      ['Authorization', token],
      ['Authorization', 'Bearer '],
      ['Authorization', `Basic ${token}`],
      ['Authorization', `Bearer ${token}x`],
      ['Authorization', `Bearer ${token.slice(1)}`],
      ['Authorization', `Bearer ${token} ${token}`],
      ['Authorization', `Bearer ${'x'.repeat(token.length)}`],
      ['x-api-key', token],
    ];
    for (const headers of wrong) {
      for (const path of ['/admin/v1/projects', '/admin/v1/openapi.json', '/nothing', '/']) {
        const refused = await http({ port, method: 'GET', path, headers });
        expect(refused.status, `${path} ${headers}`).toBe(401);
        expect(refused.headers['www-authenticate']).toBe('Bearer');
        expect(JSON.parse(refused.body.toString())).toEqual({
          type: 'about:blank',
          title: 'Unauthorized',
          status: 401,
          detail: 'send the admin token: Authorization: Bearer <token>',
        });
      }
    }
    expect(logged()).not.toContain(token);
  });

  test('a stranger’s body is not read', async () => {
    const { port, ok } = await startAdmin();
    const { answer, upload } = openHttp({
      port,
      path: '/admin/v1/projects',
      headers: [...json, 'Content-Length', '100'],
    });
    upload.flushHeaders();
    expect((await answer).status).toBe(401);
    upload.destroy();
    expect((await ok('GET', '/projects')).items).toEqual([]);
  });

  test('it has to be there for an endpoint that others reach', () => {
    const open = (host: string) => () =>
      createAdmin({
        endpoint: { host, port: 0 },
        token: '',
        store: undefined,
        ...pick(),
        status: () => exampleStatus,
        clock: systemClock,
      });
    for (const host of ['0.0.0.0', '::', '10.0.0.1', 'gateway.internal', '128.0.0.1', '']) {
      expect(open(host), host).toThrow(/set admin.token, or listen on 127.0.0.1/);
      expect(adminNeedsToken(host, 'secret')).toBe(false);
    }
    for (const host of ['127.0.0.1', '127.8.9.1', '::1', 'localhost']) {
      expect(open(host), host).not.toThrow();
    }
  });
});

function pick() {
  const { rejections, log } = createObservability({ level: 'silent' });
  return { rejections, log };
}

describe('without a token, on loopback', () => {
  async function status(headers: (port: number) => readonly string[], method = 'GET') {
    const { port } = await startAdmin({ token: '' });
    const answer = await http({ port, method, path: '/admin/v1/projects', headers: headers(port) });
    return answer.status;
  }

  test('programs on this machine are served', async () => {
    expect(await status(() => [])).toBe(200);
    expect(await status((port) => ['Host', `localhost:${port}`])).toBe(200);
    expect(await status((port) => ['Host', `[::1]:${port}`])).toBe(200);
    expect(await status(() => ['Host', '127.0.0.1', 'Authorization', 'Bearer any'])).toBe(200);
  });

  test('a page that was served from here is, too', async () => {
    const own = (port: number) => `http://localhost:${port}`;
    expect(await status((port) => ['Host', `localhost:${port}`, 'Origin', own(port)])).toBe(200);
    expect(await status(() => ['Sec-Fetch-Site', 'same-origin'])).toBe(200);
    expect(await status(() => ['Sec-Fetch-Site', 'none'])).toBe(200);
  });

  test('a name that was made to lead here is refused', async () => {
    for (const host of [
      'evil.example',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      '10.0.0.1',
    ]) {
      expect(await status((port) => ['Host', `${host}:${port}`]), host).toBe(403);
    }
  });

  test('a page of another site is refused, also one of another port', async () => {
    for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
      expect(await status(() => ['Origin', 'https://evil.example'], method)).toBe(403);
    }
    expect(await status(() => ['Origin', 'null'])).toBe(403);
    expect(await status((port) => ['Origin', `https://127.0.0.1:${port}`])).toBe(403);
    expect(await status(() => ['Origin', 'http://127.0.0.1:1'])).toBe(403);
    expect(await status(() => ['Sec-Fetch-Site', 'cross-site'])).toBe(403);
    expect(await status(() => ['Sec-Fetch-Site', 'same-site'])).toBe(403);
  });

  test('a change cannot be sent by a form', async () => {
    const { port, ok } = await startAdmin({ token: '' });
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', undefined]) {
      const headers = type === undefined ? [] : ['Content-Type', type];
      const refused = await http({
        port,
        path: '/admin/v1/projects',
        headers,
        body: '{"name":"x"}',
      });
      expect(refused.status, type).toBe(415);
    }
    expect((await ok('GET', '/projects')).items).toEqual([]);
  });
});

describe('every answer', () => {
  test('is kept by no cache and guessed at by no browser', async () => {
    const { call, port } = await startAdmin();
    const answers = [
      await call('POST', '/projects', { name: 'shop' }),
      await call('POST', '/projects/shop/api-keys', { name: 'k' }),
      await call('GET', '/projects'),
      await call('GET', '/openapi.json'),
      await call('GET', '/nothing'),
      await call('PUT', '/projects'),
      await call('OPTIONS', '/projects'),
      await call('POST', '/projects', {}),
      await http({ port, method: 'GET', path: '/admin/v1/projects', headers: ['Host', 'a b'] }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([
      201, 201, 200, 200, 404, 405, 204, 400, 400,
    ]);
    for (const { headers } of answers) {
      expect(headers['cache-control']).toBe('no-store');
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
  });

  test('that refuses is a problem which names each field', async () => {
    const { call } = await startAdmin();
    await call('POST', '/projects', { name: 'shop' });
    const refused = await call('POST', '/projects/shop/api-keys', {
      name: 7,
      agents: ['no-uuid'],
      expires_at: 'tomorrow',
      expire_at: null,
    });
    expect(refused.headers['content-type']).toBe('application/problem+json');
    expect(refused.json).toEqual({
      type: 'about:blank',
      title: 'Bad Request',
      status: 400,
      detail: 'correct the fields in errors',
      errors: [
        { path: 'name', message: 'write a text' },
        { path: 'agents.0', message: 'write a plain UUID, without quotes or spaces' },
        { path: 'expires_at', message: 'write a time such as 2027-01-31T00:00:00Z' },
        { path: 'expire_at', message: 'remove it: there is no such field' },
      ],
    });
    const query = await call('GET', '/projects?limit=0&cursor=1&cursor=2&page=3');
    expect(query.json.errors).toEqual([
      { path: 'limit', message: 'write a number from 1 to 1000' },
      { path: 'cursor', message: 'write it once' },
      { path: 'page', message: 'remove it: there is no such field' },
    ]);
    for (const limit of ['1001', '-1', '1e2', '', '01', '0x1']) {
      expect((await call('GET', `/projects?limit=${limit}`)).status, limit).toBe(400);
    }
    for (const body of [[], null, 'text', 7]) {
      expect((await call('POST', '/projects', body)).json.errors).toEqual([
        { path: '', message: 'send a JSON object' },
      ]);
    }
  });

  test('to a method that is not there names those that are', async () => {
    const { call } = await startAdmin();
    const put = await call('PUT', '/projects/shop/api-keys/key_x');
    expect(put.status).toBe(405);
    expect(put.headers.allow?.split(', ').sort()).toEqual([
      'DELETE',
      'GET',
      'HEAD',
      'OPTIONS',
      'PATCH',
    ]);
    const options = await call('OPTIONS', '/status');
    expect([options.status, options.headers.allow]).toEqual([204, 'GET, HEAD, OPTIONS']);
    expect((await call('POST', '/status')).status).toBe(405);
    const head = await call('HEAD', '/projects');
    expect([head.status, head.body.length]).toEqual([200, 0]);
  });
});

describe('a body', () => {
  async function post(body: Buffer | string, headers: readonly string[] = json) {
    const { port, ok, logged } = await startAdmin();
    const { status } = await http({
      port,
      path: '/admin/v1/projects',
      headers: ['Authorization', `Bearer ${token}`, ...headers],
      body,
    });
    const { items } = await ok('GET', '/projects');
    return { status, made: (items as unknown[]).length, logged: logged() };
  }

  test('may have 64 KiB, however it is sent', async () => {
    const large = JSON.stringify({ name: 'x'.repeat(64 * 1024) });
    expect(await post(large)).toMatchObject({ status: 413, made: 0 });
    const chunked = [...json, 'Transfer-Encoding', 'chunked'];
    expect(await post(large, chunked)).toMatchObject({ status: 413, made: 0 });
    expect(await post('{"name":"x"}', chunked)).toMatchObject({ status: 201, made: 1 });
    const padded = `{"name":"x"}${' '.repeat(64 * 1024 - 12)}`;
    expect(await post(padded)).toMatchObject({ status: 201, made: 1 });
  });

  test('that is too large is refused before all of it is there', async () => {
    const { port } = await startAdmin();
    const headers = ['Authorization', `Bearer ${token}`, ...json];
    const path = '/admin/v1/projects';
    const announced = openHttp({ port, path, headers: [...headers, 'Content-Length', '65537'] });
    announced.upload.flushHeaders();
    expect((await announced.answer).status).toBe(413);
    const chunked = openHttp({ port, path, headers: [...headers, 'Transfer-Encoding', 'chunked'] });
    chunked.upload.write('x'.repeat(65_537));
    expect((await chunked.answer).status).toBe(413);
    for (const { upload } of [announced, chunked]) upload.destroy();
  });

  test('has to be JSON in UTF-8', async () => {
    for (const body of ['', '{', '{"name":"x"} {}', Buffer.from('{"name":"\xff"}', 'latin1')]) {
      expect(await post(body)).toMatchObject({ status: 400, made: 0 });
    }
  });

  test('may say that it is JSON in any way that clients have', async () => {
    for (const type of [
      'Application/JSON; charset=utf-8',
      'application/json;',
      'application/json ; charset=utf-8',
      'application/json;charset',
    ]) {
      const answer = await post('{"name":"x"}', ['Content-Type', type]);
      expect(answer, type).toEqual({ status: 201, made: 1, logged: expect.any(String) });
    }
  });

  test('that breaks off is no fault of the gateway', async () => {
    const { port, ok, logged } = await startAdmin();
    const socket = connect(port, '127.0.0.1');
    socket.write(
      `POST /admin/v1/projects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n` +
        'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"name":',
    );
    // Answered over another connection, so the first request has been taken up by then.
    await ok('GET', '/projects');
    socket.resetAndDestroy();
    await ok('GET', '/projects');
    expect(logged()).toBe('');
  });
});

test('what the framework refuses by itself is a refusal here too, and no fault', () => {
  const { log } = pick();
  for (const status of [400, 405, 413, 415] as const) {
    const thrown = new HTTPException(status, { message: 'said by the framework' });
    const problem = problemOf(thrown, log);
    expect(problem.status).toBe(status);
    expect(problem.detail).not.toContain('said by the framework');
  }
  expect(problemOf(new HTTPException(503), log).status).toBe(500);
});

describe('a store', () => {
  test('that does not answer is a 503 that may be tried again, not a refusal', async () => {
    const store = await openStore();
    const { call, logged } = await startAdmin({ store });
    await store.close();
    for (const [method, path] of [
      ['GET', '/projects'],
      ['GET', '/audit'],
      ['GET', '/projects/shop/api-keys'],
    ] as const) {
      const answer = await call(method, path);
      expect(answer.status).toBe(503);
      expect(answer.headers['retry-after']).toBe('2');
      expect(answer.json.title).toBe('Service Unavailable');
    }
    expect((await call('POST', '/projects', { name: 'x' })).status).toBe(503);
    expect(logged()).toContain('the key store does not answer the admin API');
  });

  test('that has a fault is a 500 whose cause is in the log alone', async () => {
    const store = await openStore();
    const broken = async () => {
      throw new Error('secret cause');
    };
    const { call, logged } = await startAdmin({
      store: { ...store, projects: { ...store.projects, list: broken } },
    });
    const answer = await call('GET', '/projects');
    expect(answer.status).toBe(500);
    expect(answer.body.toString()).not.toContain('secret cause');
    expect(logged()).toContain('secret cause');
    const internal = new GatewayError('internal', 'hint', { cause: new Error('another') });
    const other = await startAdmin({
      status: () => {
        throw internal;
      },
    });
    expect((await other.call('GET', '/status')).status).toBe(500);
    expect(other.logged()).toContain('another');
  });

  test('that is the next hop’s is a 404 that says so', async () => {
    const { call, ok } = await startAdmin({ store: undefined });
    for (const path of ['/projects', '/projects/x', '/projects/x/api-keys', '/audit']) {
      const answer = await call('GET', path);
      expect(answer.status).toBe(404);
      expect(answer.json.detail).toContain('at the next hop');
    }
    expect(await ok('GET', '/status')).toEqual(exampleStatus);
  });
});
