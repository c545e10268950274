import { describe, expect, it } from "vitest";
import { eventTime, isoTime, parseEventTime } from "./event_time.ts";

const received = Date.UTC(2025, 10, 30, 17);
const iso = (text: string) => {
  const time = parseEventTime(text);
  return time === null ? null : new Date(time).toISOString();
};

describe("parseEventTime()", () => {
  it.each([
    ["2025-11-30T16:38:21.968Z", "2025-11-30T16:38:21.968Z"],
    ["2025-11-30T16:38:21.968999999Z", "2025-11-30T16:38:21.968Z"],
    ["2025-11-30T16:38:21.9Z", "2025-11-30T16:38:21.900Z"],
    ["2025-11-30T16:38:21Z", "2025-11-30T16:38:21.000Z"],
    ["2025-11-30T16:38Z", "2025-11-30T16:38:00.000Z"],
    ["2025-11-30", "2025-11-30T00:00:00.000Z"],
    ["2025-11-30 16:38:21.968000+00:00", "2025-11-30T16:38:21.968Z"],
    ["2025-11-30T16:38:21.968", "2025-11-30T16:38:21.968Z"],
    ["2025-12-01T01:38:21+02:00", "2025-11-30T23:38:21.000Z"],
    ["2025-11-30T23:38:21-0230", "2025-12-01T02:08:21.000Z"],
    ["2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"],
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"],
    ["0099-12-31T23:59:59.999Z", "0099-12-31T23:59:59.999Z"],
    ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"],
  ])("reads %s as %s", (text, expected) => expect(iso(text)).toBe(expected));

  it.each([
    "",
    "yesterday",
    "1764520701968",
    "2025-02-31T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "2025-13-01T00:00:00Z",
    "2025-00-01T00:00:00Z",
    "2025-11-00T00:00:00Z",
    "2025-11-30T24:00:00Z",
    "2025-11-30T16:60:00Z",
    "2025-11-30T16:38:60Z",
    "2025-02-31T00:00:00.000Z",
    "2025-11-30T24:00:00.000Z",
    "2025-11-30T16:38:60.000Z",
    "2025-11-30T16:38:21.96:Z",
    "2025-11-30T16:38:21+25:00",
    "2025-11-30T16:38:21.968Zulu",
    " 2025-11-30T16:38:21Z",
    "+002025-11-30T16:38:21Z",
    "10000-01-01T00:00:00Z",
    "0000-12-31T23:59:59Z",
    "0001-01-01T00:00:00+02:00",
    "9999-12-31T23:59:59-01:00",
    "Sun, 30 Nov 2025 16:38:21 GMT",
  ])("takes %j for none", (text) => expect(parseEventTime(text)).toBeNull());
});

describe("isoTime()", () => {
  it.each([
    ["2025-11-30T16:38:21.968Z", "2025-11-30T16:38:21.968Z"],
    ["2025-11-30T16:38:21.968999Z", "2025-11-30T16:38:21.968Z"],
    ["2025-11-30T18:38:21.968+02:00", "2025-11-30T16:38:21.968Z"],
    ["2025-11-30t16:38:21.968z", "2025-11-30T16:38:21.968Z"],
    ["0001-01-01T00:00:00.000Z", "0001-01-01T00:00:00.000Z"],
  ])("writes %s as %s", (own, expected) => expect(isoTime(parseEventTime(own)!, own)).toBe(expected));

  it("writes the received time where the event's own is another one or none", () => {
    const expected = "2025-11-30T17:00:00.000Z";
    expect(isoTime(received, null)).toBe(expected);
    expect(isoTime(received, "2026-11-30T17:00:00.000Z")).toBe(expected);
    expect(isoTime(received, "2025-02-31T00:00:00.000Z")).toBe(expected);
    expect(isoTime(received, "soon")).toBe(expected);
  });
});

describe("eventTime()", () => {
  it("is the event's own time, also years ago", () => {
    expect(eventTime("2016-01-01T00:00:00Z", received)).toBe(Date.parse("2016-01-01T00:00:00Z"));
  });

  it("believes 10 years behind and not a millisecond more", () => {
    expect(eventTime("2015-11-30T17:00:00.000Z", received)).toBe(Date.parse("2015-11-30T17:00:00Z"));
    expect(eventTime("2015-11-30T16:59:59.999Z", received)).toBe(received);
    expect(eventTime("0001-01-01T00:00:00Z", received)).toBe(received);
    expect(eventTime("1970-01-01T00:00:00Z", received)).toBe(received);
  });
  it("is the received time where the own one is missing or unparsable", () => {
    expect(eventTime(null, received)).toBe(received);
    expect(eventTime("soon", received)).toBe(received);
  });
  it("believes 24 hours ahead and not a millisecond more", () => {
    expect(eventTime("2025-12-01T17:00:00.000Z", received)).toBe(received + 24 * 3_600_000);
    expect(eventTime("2025-12-01T17:00:00.001Z", received)).toBe(received);
    expect(eventTime("9999-12-31T23:59:59.999Z", received)).toBe(received);
  });
  it("stands on 1970 where another program published a record without a time that a calendar has", () => {
    expect(eventTime(null, Number.NaN)).toBe(0);
    expect(eventTime(null, 8.65e15)).toBe(0);
  });
});
