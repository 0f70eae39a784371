import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { startFaultProxy } from '../harness/fault-proxy.ts';
import { startRedis } from '../harness/redis.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function redis(args: readonly string[] = []) {
  const server = await startRedis({ args });
  closing.push(server.close);
  return server;
}

describe('the Redis of a test', () => {
  test('forgets on a restart, and keeps what was saved', async () => {
    const server = await redis();
    await server.command('SET', 'a', 1);
    await server.command('SAVE');
    await server.command('SET', 'b', 2);
    const { pid } = server;
    await server.stop();
    await server.start();
    expect(server.pid).not.toBe(pid);
    expect(await server.command('MGET', 'a', 'b')).toEqual(['1', null]);
    await server.command('FLUSHALL');
    expect(await server.command('DBSIZE')).toBe(0);
  });

  test('asks for the password that it was given', async () => {
    const server = await redis(['--requirepass', 'open sesame']);
    expect(await server.command('PING')).toBe('PONG');
  });

  test('is closed also while it is paused, and its folder is gone', async () => {
    const server = await startRedis();
    server.pause();
    await server.close();
    expect(() => process.kill(server.pid, 0)).toThrow();
    expect(existsSync(server.folder)).toBe(false);
  });

  test('dies with a test process that is killed', async () => {
    const script = `
      const { startRedis } = await import(${JSON.stringify(
        new URL('../harness/redis.ts', import.meta.url).href,
      )});
      const server = await startRedis();
      console.log(server.port);
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const socket = connect(Number(line.toString()), '127.0.0.1');
    await once(socket, 'connect');
    const gone = once(socket, 'close');
    socket.on('error', () => {});
    socket.resume();
    child.kill('SIGKILL');
    await gone;
  });
});

describe('the network of a test', () => {
  async function line() {
    const server = await redis();
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: server.port });
    closing.push(proxy.close);
    const socket = connect(proxy.port, '127.0.0.1');
    closing.push(() => void socket.destroy());
    await once(socket, 'connect');
    const ask = async (): Promise<string> => {
      socket.write('PING\r\n');
      return String((await once(socket, 'data'))[0]);
    };
    return { proxy, socket, ask };
  }

  test('carries bytes, and counts connections', async () => {
    const { proxy, ask } = await line();
    expect(await ask()).toBe('+PONG\r\n');
    expect([proxy.accepted, proxy.open]).toEqual([1, 1]);
  });

  test('holds bytes while it hangs, those of new connections too, and loses none', async () => {
    const { proxy, socket, ask } = await line();
    proxy.hang();
    let early = 0;
    socket.on('data', () => {
      early += 1;
    });
    const held = ask();
    const second = connect(proxy.port, '127.0.0.1');
    closing.push(() => void second.destroy());
    await once(second, 'connect');
    second.write('PING\r\n');
    const secondAnswer = once(second, 'data');
    expect(early).toBe(0);
    await proxy.heal();
    expect(await held).toBe('+PONG\r\n');
    expect(String((await secondAnswer)[0])).toBe('+PONG\r\n');
  });

  test('resets what stands when it is cut, and refuses until it is healed', async () => {
    const { proxy, socket } = await line();
    const reset = once(socket, 'error');
    proxy.cut();
    expect((await reset)[0]).toMatchObject({ code: 'ECONNRESET' });
    const refused = connect(proxy.port, '127.0.0.1');
    expect((await once(refused, 'error'))[0]).toMatchObject({ code: 'ECONNREFUSED' });
    await proxy.heal();
    const again = connect(proxy.port, '127.0.0.1');
    closing.push(() => void again.destroy());
    await once(again, 'connect');
  });

  test('delays each piece, in order', async () => {
    const { proxy, ask } = await line();
    proxy.delay(60);
    const startMs = performance.now();
    expect(await ask()).toBe('+PONG\r\n');
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(119);
  });
});
