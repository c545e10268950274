/**
 * Marks a named place between two effects, so that a test can stop the real process exactly there.
 *
 * The services pass it down as a dependency; outside tests it is {@link noFaultPoint} and does nothing.
 */
export type FaultPoint = (name: string) => void;

/** Does nothing: what every service runs with unless `FAULT_POINT` names a place. */
export const noFaultPoint: FaultPoint = () => {};
