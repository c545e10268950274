import fc from "fast-check";

/** Properties that name no number of runs get 20 here, and 100 in the whole suite. */
fc.configureGlobal({ numRuns: 20 });
