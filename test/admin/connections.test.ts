/** What connections without a request can take up: a little time, and nobody else's place. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { http } from '../harness/http-client.ts';
import { openStore, startAdmin, token } from './admin-under-test.ts';

const connectionsMax = 100;
const halfARequest = 'GET / HTTP/1.1\r\n';
const path = '/admin/v1/projects';
const headers = ['Authorization', `Bearer ${token}`];
const sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

async function open(port: number, text: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  sockets.push(socket);
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

async function openMany(port: number, text: string): Promise<readonly Socket[]> {
  const opened: Socket[] = [];
  for (let count = 0; count < connectionsMax + 20; count += 1) opened.push(await open(port, text));
  return opened;
}

test('whoever holds many of them open keeps nobody out', async () => {
  const { port } = await startAdmin();
  for (const text of ['', halfARequest, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n']) {
    await openMany(port, text);
    const answer = await http({ port, method: 'GET', path, headers });
    expect(answer.status, text).toBe(200);
  }
});

test('what is being answered keeps its connection, however many come after it', async () => {
  const store = await openStore();
  const begun = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const list: typeof store.projects.list = async (page) => {
    begun.resolve();
    await finish.promise;
    return store.projects.list(page);
  };
  const { port } = await startAdmin({
    store: { ...store, projects: { ...store.projects, list } },
  });
  const answer = http({ port, method: 'GET', path, headers });
  await begun.promise;
  await openMany(port, halfARequest);
  expect((await http({ port, method: 'GET', path: '/nothing', headers })).status).toBe(404);
  finish.resolve();
  expect((await answer).status).toBe(200);
});

test('one that begins a request and falls silent is closed within seconds', async () => {
  const { port } = await startAdmin();
  const socket = await open(port, halfARequest);
  await once(socket.resume(), 'close');
}, 20_000);
