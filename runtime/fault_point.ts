/**
 * Marks a named place between two effects, so that a test can stop the real process exactly there.
 *
 * The services pass it down as a dependency; outside tests it is {@link noFaultPoint} and does nothing.
 */
export type FaultPoint = (name: string) => void;

/** Does nothing: what every service runs with unless `FAULT_POINT` names a place. */
export const noFaultPoint: FaultPoint = () => {};

const STOP_ARRIVES_MS = 100;

/**
 * Stops this process at the n-th passing of a named place, for crash tests: it writes the place's name to standard
 * error, then stops itself (SIGSTOP), so that the test can look and kill it with -9. No exception, no exit handler.
 *
 * @param setting `FAULT_POINT`: `name` or `name:n`; undefined makes every place do nothing.
 */
export function faultPointFrom(setting: string | undefined): FaultPoint {
  if (setting === undefined) return noFaultPoint;
  const [wanted, count] = setting.split(":");
  let left = Number(count ?? 1);
  return (name) => {
    if (name !== wanted || --left !== 0) return;
    Deno.stderr.writeSync(new TextEncoder().encode(`fault point ${name}\n`));
    Deno.kill(Deno.pid, "SIGSTOP");
    // The signal may reach another thread first: a Worker would run on for a moment, beyond the place.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STOP_ARRIVES_MS);
  };
}
