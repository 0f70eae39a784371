/** The outside world of a command, handed in so that a test can be it. */
export type Io = {
  /** How this program is called where it runs, for commands that can be pasted. */
  readonly program: string;
  readonly stdin: AsyncIterable<Buffer | string> & { readonly isTTY?: boolean };
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  readonly env: NodeJS.ProcessEnv;
  /** Starts to listen for a request to stop; resolves with its name, such as `SIGTERM`. */
  readonly stopRequested: () => Promise<string>;
};

export function writeJson(io: Io, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** For people: what was done, and what to do next. */
export function say(io: Io, ...lines: readonly string[]): void {
  io.stderr.write(lines.map((line) => `${line}\n`).join(''));
}
