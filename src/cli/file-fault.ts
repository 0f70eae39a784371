/** Why a file could not be read or written, in plain words. */
export function fileFault(path: string, error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return words[code]?.(path) ?? message;
}

const words: Readonly<Record<string, (path: string) => string>> = {
  ENOENT: (path) => `there is no file ${path}`,
  EISDIR: (path) => `${path} is a folder`,
  ENOTDIR: (path) => `a part of ${path} is no folder`,
  EACCES: (path) => `this user may not open ${path}`,
};
