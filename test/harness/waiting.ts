/** Waiting, without sleeping, for what can only be true after something was seen to happen. */
export type Waiting = {
  /** Something happened: all who wait look again. */
  look(): void;
  /** Resolves once `enough` holds. */
  until(enough: () => boolean): Promise<void>;
};

export function createWaiting(): Waiting {
  const waiting = new Set<() => void>();
  return {
    look() {
      for (const look of waiting) look();
    },
    until: (enough) =>
      new Promise((resolve) => {
        const look = () => {
          if (!enough()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
  };
}
