// Fresh loads this file on pages that have an island. Ours all start themselves; the styles are one static file.
export {};
