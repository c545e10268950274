import CounterOfItsFile from "prom-client/lib/counter.js";
import GaugeOfItsFile from "prom-client/lib/gauge.js";
import HistogramOfItsFile from "prom-client/lib/histogram.js";
import RegistryOfItsFile from "prom-client/lib/registry.js";
import type * as prom from "prom-client";

/**
 * The four parts of prom-client that services use, each from its own file: its index also loads a cluster's registry, a push
 * gateway with HTTP and TLS, and figures of Node, which take three times as long.
 */
export const Counter: typeof prom.Counter = CounterOfItsFile;
export type Counter<Label extends string = string> = prom.Counter<Label>;
export const Gauge: typeof prom.Gauge = GaugeOfItsFile;
export type Gauge<Label extends string = string> = prom.Gauge<Label>;
export const Histogram: typeof prom.Histogram = HistogramOfItsFile;
export type Histogram<Label extends string = string> = prom.Histogram<Label>;
export const Registry: typeof prom.Registry = RegistryOfItsFile;
export type Registry = prom.Registry;
