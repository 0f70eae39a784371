/**
 * One read at a time of one thing, for all who want it.
 *
 * Whoever comes while a read is under way shares it if it may be shared, which is asked when it
 * begins. Else they share the next one, which begins after they came: so there is never more than
 * one under way, and nobody gets an answer that is older than their question.
 */
type Flight<Value> = {
  readonly answer: Promise<Value>;
  readonly isShared: boolean;
  next: Promise<Value> | undefined;
};

export type SingleFlight<Value> = {
  join(name: string, run: () => Promise<Value>): Promise<Value>;
  /** What is under way and may be shared. */
  underWay(name: string): Promise<Value> | undefined;
};

export function createSingleFlight<Value>(mayShare: () => boolean): SingleFlight<Value> {
  const flights = new Map<string, Flight<Value>>();

  function begin(name: string, run: () => Promise<Value>): Promise<Value> {
    const isShared = mayShare();
    const answer = run().finally(() => {
      if (flights.get(name) === flight) flights.delete(name);
    });
    const flight: Flight<Value> = { answer, isShared, next: undefined };
    flights.set(name, flight);
    return answer;
  }

  function join(name: string, run: () => Promise<Value>): Promise<Value> {
    const flight = flights.get(name);
    if (flight === undefined) return begin(name, run);
    if (flight.isShared) return flight.answer;
    const again = () => begin(name, run);
    flight.next ??= flight.answer.then(again, again);
    return flight.next;
  }

  return {
    join,
    underWay(name) {
      const flight = flights.get(name);
      return flight?.isShared === true ? flight.answer : undefined;
    },
  };
}
